"""The tone of a picture without colours of its own: grey, or one tint at each brightness, as old prints have."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..images.planes import LUMA, luma

#: The picture is looked at in so many pixels, where noise and the blocks of JPEG average out.
LOOKED_AT = 96
#: Its tint is a polynomial of its brightness, of this degree.
_DEGREE = 5
#: A picture has colours of its own where its pixels' tints are further from that than this, of 255: root mean square,
#: and at 99 % of the pixels. Sepia in JPEG comes to 1.8 and 6, the palest of 150 portraits in colour to 4.3 and 9.7.
_APART, _FARTHEST = 2.5, 8.0
#: In the dark, or all pale, tints lie nearer, too: where brightness spans less than this, by as much as it does; but no
#: nearer than the steps of 8 bits and JPEG leave them.
_SPAN, _NEAREST = 0.35, 0.4


@dataclass(frozen=True, kw_only=True, eq=False)
class Tone:
    """Red and blue less luma as polynomials of luma, (2, degree + 1) float64, from `darkest` to `lightest`."""

    powers: Tensor
    darkest: float
    lightest: float

    def of(self, faces: Tensor) -> Tensor:
        """`faces` (N, 3, H, W) in [0, 1], their luma in this tone."""
        light = luma(faces)
        if not bool(self.powers.abs().max() > 1e-6):
            return light.expand_as(faces)
        place = light.clamp(self.darkest, self.lightest)
        red, blue = (_at(row.tolist(), place) + light for row in self.powers)
        green = (light - LUMA[0] * red - LUMA[2] * blue) / LUMA[1]
        return torch.cat([red, green, blue], 1).clamp(0, 1)


def tone_of(small: Tensor) -> Tone | None:
    """The tone of a picture in sRGB, given shrunk to `LOOKED_AT` (3, h, w) in [0, 1]; None where it has colours of its
    own."""
    small = small.flatten(1).double()
    light = (small * small.new_tensor(LUMA)[:, None]).sum(0)
    tints = small[[0, 2]] - light
    powers = torch.stack([light**k for k in range(_DEGREE + 1)], 1)
    fit = torch.linalg.lstsq(powers, tints.T, driver="gelsd").solution
    apart = 255 * (tints.T - powers @ fit).abs().amax(1)
    told = max(float(apart.square().mean().sqrt()) / _APART, float(apart.quantile(0.99)) / _FARTHEST)
    if told > 1 or told > _nearness(light):
        return None
    return Tone(powers=fit.T, darkest=float(light.min()), lightest=float(light.max()))


def _nearness(light: Tensor) -> float:
    """By how much nearer tints lie in this light than in a usual one, of 1."""
    span = float(light.quantile(0.99) - light.quantile(0.01))
    return max(span / _SPAN, _NEAREST)


def _at(powers: list[float], place: Tensor) -> Tensor:
    value = torch.full_like(place, powers[-1])
    for power in reversed(powers[:-1]):
        value = value * place + power
    return value
