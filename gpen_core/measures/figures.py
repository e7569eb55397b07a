"""Figures about one restored face, for its report: sharpness, colour, seam."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..faces.damage import damage
from ..faces.mask import ellipse_mask
from ..faces.paste import extent
from ..images import Picture
from ..images.planes import luma, resize, shrunk_planes
from ..restore.result import RestoredFace
from .seam import LONGEST_SIDE, seam

#: Linear sRGB → XYZ (D65, IEC 61966-2-1), and the white that XYZ is relative to in CIELAB.
_TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
_WHITE = (0.9505, 1.0, 1.089)
#: A face that lost no more than this share of its sharpness is as sharp as it was.
_AS_SHARP = 0.05


def face_figures(face: RestoredFace, result: Picture) -> dict[str, Any]:
    """Fields of `FaceReport` that can be taken: damage, sharpness_before and _after, colour_shift, seam, warnings.

    result: the picture that the face was put back into.
    """
    figures: dict[str, Any] = {}
    x1, y1, x2, y2 = face.rectangle
    if x2 > x1 and y2 > y1:
        region = shrunk_planes(result.pixels[y1:y2, x1:x2], LONGEST_SIDE)
        figures["seam"] = seam(region, face.mask)
    if face.crop is None or face.restored is None:
        return figures
    figures["damage"] = float(damage(face.crop[None]))
    # What a large face keeps of itself is no loss, and so are its figures those of what was put back.
    after = resize(face.restored[None], face.crop.shape[-1])[0]
    if face.kept:
        after = torch.lerp(after, face.crop, face.kept)
    sharp, sharper = float(sharpness(face.crop)), float(sharpness(after))
    figures |= {"sharpness_before": sharp, "sharpness_after": sharper}
    figures["colour_shift"] = colour_shift(face.crop, after)
    if face.strength and sharper < (1 - _AS_SHARP) * sharp:
        figures["warnings"] = ("the restored face is less sharp than it was; lower the strength, or leave it out",)
    return figures


def sharpness(crops: Tensor) -> Tensor:
    """(...): root mean square of the Laplacian of the luma of `crops` (..., 3, S, S) in [0, 1], times 255, within the
    face's ellipse."""
    rows, columns, weight = _ellipse(crops.shape[-1])
    # With a pixel more on every side: the ellipse touches no edge, unless the crop is tiny.
    x, y = (slice(max(span.start - 1, 0), span.stop + 1) for span in (columns, rows))
    plane = luma(crops[..., y, x])
    if plane.shape[-2:] != (len(weight) + 2, weight.shape[1] + 2):
        plane = F.pad(luma(crops), (1, 1, 1, 1), mode="replicate")[..., rows.start : rows.stop + 2, :]
        plane = plane[..., columns.start : columns.stop + 2]
    plane = plane.squeeze(-3)
    around = plane[..., 1:-1, :-2] + plane[..., 1:-1, 2:]
    around.add_(plane[..., :-2, 1:-1]).add_(plane[..., 2:, 1:-1]).sub_(plane[..., 1:-1, 1:-1], alpha=4)
    return 255 * (around.square_().mul_(weight).sum((-2, -1)) / weight.sum()).sqrt()


def colour_shift(before: Tensor, after: Tensor) -> float:
    """CIE76 distance (ΔE) of the mean colours of two crops (3, S, S), sRGB in [0, 1], within the face's ellipse."""
    rows, columns, weight = _ellipse(before.shape[-1])
    weight = weight[::2, ::2]  # a quarter of the pixels: the curve is dear, and a mean needs no more
    share = (weight / weight.sum()).flatten()
    means = [_linear(crop[:, rows, columns][:, ::2, ::2]).flatten(1) @ share for crop in (before, after)]
    return math.dist(*(_lab(mean.tolist()) for mean in means))


@lru_cache(maxsize=4)
def _ellipse(size: int) -> tuple[slice, slice, Tensor]:
    """The rows and columns of a crop of `size` px that the face's ellipse lies in, and its weight there."""
    mask = ellipse_mask(size)
    x1, y1, x2, y2 = extent(mask)
    rows, columns = slice(y1, y2), slice(x1, x2)
    return rows, columns, mask[rows, columns]


def _linear(crop: Tensor) -> Tensor:
    crop = crop.clamp(0, 1)
    return torch.where(crop <= 0.04045, crop / 12.92, crop.add(0.055).div_(1.055).pow_(2.4))


def _lab(colour: Sequence[float]) -> tuple[float, float, float]:
    """CIELAB of a linear sRGB colour. In plain numbers: a tensor of three costs more to make than to reckon with."""
    x, y, z = (_curved(sum(map(operator.mul, row, colour)) / white) for row, white in zip(_TO_XYZ, _WHITE, strict=True))
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _curved(relative: float) -> float:
    return relative ** (1 / 3) if relative > (6 / 29) ** 3 else relative * (29 / 6) ** 2 / 3 + 4 / 29
