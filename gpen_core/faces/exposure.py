"""Faces too dark, too pale or too faded for a network: shown to it like usual ones, and taken back."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from ..images.planes import luma, resize
from .ease import rise
from .mask import ellipse_mask

#: What a face of 256 px spans, from the darkest hundredth to the lightest (of luma, and of its brightest channel): of
#: 1,150 faces that a network learned from 0.84, of 1 in 100 less than 0.59; half exposed (a stop in linear light) 0.62,
#: by two stops 0.44. Up to the first a face is stretched wholly, from the second on it stays as it is.
_FLAT, _USUAL = 0.50, 0.70
#: Where the darkest and the lightest hundredth of a usual face lie.
_DARKEST, _LIGHTEST = 0.08, 0.92
#: What spans less than the first is one colour and no face, and stays; from the second on there may be one. Nothing is
#: stretched by more than what spans `_LEAST`: hardly more than the steps of 8 bits are left there.
_PLAIN, _SOMETHING, _LEAST = 0.02, 0.06, 0.08
_HUNDREDTH = 0.01
#: Pixels a side at which a face's span is taken.
_LOOKED_AT = 64


def exposed(crops: Tensor) -> tuple[Tensor, Tensor | None]:
    """Crops (N, 3, S, S) in [0, 1] as bright and as contrasty as usual faces, and by how much (N, 1, 1, 1) each was
    stretched; the crops themselves and None where all are usual ones.
    """
    ranges = [_stretch(crop) for crop in crops]
    if all(gain == 1 for gain, _ in ranges):
        return crops, None
    gains, offsets = crops.new_tensor(ranges).T[..., None, None, None]
    return (crops * gains + offsets).clamp_(0, 1), gains


def unexposed(restored: Tensor, shown: Tensor, gains: Tensor, crops: Tensor) -> Tensor:
    """Restored faces (N, 3, T, T) as dark or pale as their `crops` were: by what the network changed of what it was
    `shown`, so that what lies beyond a face's range, such as a bright wall, stays. What `exposed` left alone is as
    restored, to the bit.
    """
    before, given = (resize(faces, restored.shape[-1]) for faces in (shown, crops))
    return torch.where(gains == 1, restored, given + (restored - before) / gains)


def _stretch(crop: Tensor) -> tuple[float, float]:
    """The factor, and what is added then, of a crop (3, S, S) in [0, 1]; (1, 0) for a usual face."""
    step = max(1, crop.shape[-1] // _LOOKED_AT)
    face = crop[:, ::step, ::step][:, _inside(crop.shape[-1], step).to(crop.device)]
    few = max(1, round(_HUNDREDTH * face.shape[-1]))
    low = float(luma(face[..., None]).flatten().kthvalue(few).values)
    high = float(face.amax(0).kthvalue(face.shape[-1] + 1 - few).values)
    span = high - low
    share = rise(span, _PLAIN, _SOMETHING) * (1 - rise(span, _FLAT, _USUAL))
    if share == 0:
        return 1.0, 0.0
    gain = (_LIGHTEST - _DARKEST) / max(span, _LEAST)
    return 1 + share * (gain - 1), share * (_DARKEST - low * gain)


@lru_cache(maxsize=4)
def _inside(size: int, step: int) -> Tensor:
    """Which of every `step`-th pixel, both ways, of a crop of `size` px are the face's."""
    return ellipse_mask(size)[::step, ::step] > 0.5
