"""What of a face stays the picture's: what the network's size cannot hold, and of a large face all that is sound.

A network gives no more than its size holds, so the structure that is finer than its crop is the picture's own, as in
residual super-resolution: of a large face its skin and lashes, of a small one what cutting it out took away. And a
large face is changed by as much as it is damaged, which is told blind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from ..images.planes import fine_structure, luma, near_means, resize
from .damage import SIZE, diagonal_step
from .damage import damage as told_blind
from .ease import rise
from .sharpen import changed

#: By so much of its fine structure, seen at 256 px, a network changes a face that is sound (at most 0.12 of 16 faces),
#: and one that is not: a face of 512 px blurred by 2 px is at 0.14, by 3 px at 0.24 (0.12 and 0.21 by one of 512 px).
_SOUND, _DAMAGED = 0.12, 0.28
#: Damage told from the crop alone: of 50 sharp faces 0.155 and less. Below the first a result is farther from the
#: undamaged face than the damaged one is, by a detector's features; from the second on, it is nearer as a whole. Of ten
#: faces of 512 px blurred by 1.5 px 0.22, by 2 px 0.37, by 2.5 px 0.62; shrunk to a quarter and enlarged, as somebody
#: may have done before, 0.38; there a third of the network's change is best.
_WELL, _ILL = 0.30, 0.55
#: Deviation of what 512 px have and 256 px have not, beside that of what 256 px have and 128 px have not: of 50 sharp
#: faces 0.60 and more; of the same shrunk to a third, blurred by 2 px, or shrunk to 205 px with noise and JPEG, 0.49
#: and less (shrunk to a half 0.44 to 0.68).
_BLUNT, _SHARP = 0.52, 0.60
#: The same of the contrast of edges, noise left out: less telling, but grain and JPEG's blocks count as no structure.
#: Sharp faces have 0.52 and more at 512 and at 256 px, blurred by 1 px at 800 px 0.48 and more; at 256 px, shrunk to a
#: sixth of 512 px, with noise of 6 and JPEG 50, about 0.42, and to an eighth, with noise of 8, 0.36.
_DULL, _EDGED = 0.40, 0.48
#: Edges are the strongest of so many, and noise reaches so many of its deviations there.
_STRONGEST, _REACH = 0.005, 2.8
#: The median size of a normal variable, in its deviations.
_MEDIAN = 0.6745
#: From here on the picture's finest structure agrees with nothing that the network sees.
_AGREES, _DISAGREES = 0.3, 0.6
#: Noise of the picture's luma, deviation of 255: with less the finest structure counts as the face's, with more not.
_QUIET, _NOISY = 4.0, 12.0
#: A change of colour and brightness at large, of 255, that is left out, and one that is taken whole.
_SAME_TONE, _OTHER_TONE = 4.0, 10.0
#: Tones are compared at this many pixels a side.
_BROAD = 16
#: So much of the noise's deviation is taken out: with all of it faces of 1,100 px look as if drawn.
_TAKEN_OUT = 0.85
#: Side of the square of pixels in which a face's finest structure is compared before and after.
_AROUND = 7
#: Side of the square of pixels whose power tells structure from noise.
_POWER_SIDE = 5
#: Pixels of the picture to a pixel of the crop (of one of 256 px, where it is larger) up to which a face counts as no
#: larger, and from which on as larger.
_AS_LARGE, _LARGER = 1.0, 1.25


@dataclass(frozen=True, kw_only=True)
class Shares:
    """What of a face is taken from where, each 0 to 1.

    change: of what the network changed. tone: of its change of colour and brightness at large. own: of the picture's
    structure that is finer than the crop's. noise: its deviation there, of 1, which is taken out of that structure.
    judged: whether it was asked how damaged the face is; a small one is the network's, whatever it looks like.
    guided: whether that structure is kept place by place, as the network kept what is just coarser.
    """

    change: float
    tone: float
    own: float
    noise: float = 0.0
    judged: bool = True
    guided: bool = False

    @property
    def nothing(self) -> bool:
        """Whether the face is left as it is."""
        return self.change == self.tone == 0


def _comparable(scale: float, size: int) -> float:
    """Pixels of the picture to a pixel of the crop as one of 256 px has them, where the crop, of `size` px, is larger:
    it may be finer than the picture, and the face is sound or not all the same.
    """
    return scale * max(1.0, size / SIZE)


def shares_of(crop: Tensor, restored: Tensor, there: Tensor, scale: float) -> Shares:
    """For a crop (3, S, S), its result (3, T, T) and some of the face as the picture has it (3, h, w), all in [0, 1].

    scale: pixels of the picture to a pixel of the crop.
    """
    deviation = noise_of(there)
    noise = rise(255 * deviation, _QUIET, _NOISY)
    removed = _TAKEN_OUT * deviation * noise**0.5
    larger = rise(_comparable(scale, crop.shape[-1]), _AS_LARGE, _LARGER)
    if not larger:
        return Shares(change=1.0, tone=1.0, own=1.0, noise=removed, judged=False, guided=True)
    # At one size: the finer the structure, the more of it every network changes, in a sound face too.
    before, after = (resize(face[None], min(face.shape[-1], SIZE)) for face in (crop, restored))
    fine = float(changed(before, after))
    tone = (resize(restored[None], _BROAD) - resize(crop[None], _BROAD)).square().mean().sqrt()
    blind = rise(float(told_blind(crop[None])), _WELL, _ILL) if crop.shape[-1] >= SIZE else 0.0
    damage = max(rise(fine, _SOUND, _DAMAGED), noise, blind, _lack(crop, scale))
    change = 1 - larger * (1 - damage)
    return Shares(
        change=change,
        tone=max(change, rise(255 * float(tone), _SAME_TONE, _OTHER_TONE)),
        own=1 - rise(fine, _AGREES, _DISAGREES),
        noise=removed,
        guided=scale < _LARGER,
    )


def _lack(crop: Tensor, scale: float) -> float:
    """0 to 1: how much of the structure is missing that a crop (3, S, S) could show of a picture that has the pixels
    for it: at 256 px, and at 512 px what 256 px could not.

    Also by its edges: what blur and few pixels took is not there again because noise came after it.
    """
    pixels = {2 * SIZE: rise(scale, _AS_LARGE, _LARGER), SIZE: 1.0}
    sides = [side for side in pixels if crop.shape[-1] >= side and pixels[side]]
    if not sides:
        return 0.0
    whole = luma(resize(crop[None], sides[0]))
    planes = [resize(whole, side) for side in (2 * SIZE, SIZE, SIZE // 2, SIZE // 4) if side <= sides[0]]
    bands = [_heart(fine - resize(coarse, fine.shape[-1])) for fine, coarse in pairwise(planes)]
    lacks = [0.0]
    for side, finer, coarser in zip(sides, bands, bands[1:], strict=False):
        lack = 1 - rise(_edges_beside(finer, coarser), _DULL, _EDGED)
        if side > SIZE:
            deviations = float(finer.std() / coarser.std().clamp_min(1e-6))
            lack = max(lack, 1 - rise(deviations, _BLUNT, _SHARP))
        lacks.append(pixels[side] * lack)
    return max(lacks)


def _edges_beside(finer: Tensor, coarser: Tensor) -> float:
    """The contrast of edges in a band beside that in the next coarser one, without what noise makes of it."""
    sizes = finer.abs()
    noise = _REACH * float(sizes.median()) / _MEDIAN
    return math.sqrt(max(_strongest(sizes) ** 2 - noise**2, 0.0)) / max(_strongest(coarser.abs()), 1e-6)


def _strongest(sizes: Tensor) -> float:
    """The least of the few largest of `sizes`."""
    values = sizes.flatten()
    return float(values.kthvalue(max(1, round((1 - _STRONGEST) * len(values)))).values)


def _heart(planes: Tensor) -> Tensor:
    """The middle half of each side of (…, S, S): eyes, nose and mouth, no background."""
    edge = planes.shape[-1] // 4
    return planes[..., edge:-edge, edge:-edge]


def with_own(there: Tensor, low: Tensor, face: Tensor, shares: Shares) -> Tensor:
    """(3, h, w): `face` (3, h, w) as it goes over `there`, the picture; `low`: the crop that the face came of, alike.

    The network's change of `low` is added to what is there, so that all that is finer than the crop stays; what of it
    is not the face's own goes with the change. `low` and `face` are used up.
    """
    guide = _kept_of(low, face) if shares.guided else None
    change = face.sub_(low)
    result = torch.add(there, change, alpha=shares.change)
    if shares.own < 1 or shares.noise > 0 or guide is not None:
        finer = torch.sub(there, low, out=low)
        result.sub_(finer, alpha=shares.change)
        kept = _above(finer, shares.noise)
        result.add_(kept if guide is None else kept.mul_(guide), alpha=shares.change * shares.own)
    if shares.tone > shares.change:
        broad = F.interpolate(change[None], (_BROAD, _BROAD), mode="area")
        broad = F.interpolate(broad, change.shape[-2:], mode="bilinear", align_corners=False)[0]
        result.add_(broad, alpha=shares.tone - shares.change)
    return result.clamp_(0, 1)


def _kept_of(low: Tensor, face: Tensor) -> Tensor:
    """(1, h, w), 0 to 1: how much of the finest structure of `low` (3, h, w) is in `face`, too, around each pixel; its
    square. A weave or a grain that the network took away leaves nothing behind; eyes and hair keep what is theirs.
    """
    before, after = (fine_structure(luma(planes)[None], 3) for planes in (low, face))
    power = near_means(before.square(), _AROUND).clamp_min_(1e-8)
    return near_means(before * after, _AROUND).div_(power).clamp_(0, 1).square_()[0]


def _above(finer: Tensor, noise: float) -> Tensor:
    """`finer` (3, h, w), fine structure in noise of this deviation of luma, where there is more of it than noise makes:
    Wiener's filter with the power around each pixel (Lee 1980). Eyes, lashes and lips stay, skin becomes smooth."""
    if not noise:
        return finer
    power = F.avg_pool2d(luma(finer)[None].square_(), _POWER_SIDE, 1, _POWER_SIDE // 2, count_include_pad=False)[0]
    return finer.mul_(power.clamp_min_(1e-10).reciprocal_().mul_(-(noise**2)).add_(1).clamp_min_(0))


def noise_of(picture: Tensor) -> float:
    """Standard deviation of the noise of `picture`'s luma (3, h, w) in [0, 1], by its mixed second difference
    (median absolute deviation): edges and smooth shading hardly count in it."""
    return float(diagonal_step(luma(picture))) / _MEDIAN if min(picture.shape[-2:]) > 1 else 0.0
