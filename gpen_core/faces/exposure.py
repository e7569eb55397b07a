"""Faces too dark, pale or faded, or in coloured light, for a network: shown to it like usual ones, and taken back."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from ..images.planes import resize
from .ease import rise
from .mask import ellipse_mask

#: Red, green and blue of a usual face, the median of 1,150 that a network learned from: how far it is from the darkest
#: hundredth of its pixels to the lightest, and to their mean. A veil over the darkest is taken off down to `_DARKEST`.
_SPAN, _MEAN, _DARKEST = (0.81, 0.74, 0.70), (0.450, 0.349, 0.304), 0.11
#: The same of the whole crop, with hair, clothes and what lies behind.
_SPAN_OF_CROP = (0.86, 0.80, 0.77)
#: How far the crop or the face in it, whichever is wider, spans beside that, of 1: of 1 in 100 less than 0.67, however
#: damaged; half exposed (a stop in linear light) 0.76, by two stops 0.56. Up to the first a face is stretched wholly,
#: from the second on it keeps its contrast. Blur and shrinking make a face alone span less, which a network is to see:
#: stretched, it is noisier, and restored without its lines.
_FLAT, _USUAL = 0.55, 0.75
#: Before a bright window the face alone tells: 1 in 100 spans less than 0.55, severely damaged and in good light.
_FLAT_ALONE, _USUAL_ALONE = 0.35, 0.55
#: How much redder and bluer than that such faces are, beside green and in logarithms: one standard deviation to either
#: side. A face keeps its colours up to `_NATURAL` times that; from `_CAST` on it is brought to where 1 lies.
_RED, _LESS_BLUE, _MORE_BLUE = 0.11, 0.093, 0.070
_NATURAL, _CAST = 2.5, 3.5
#: What spans less than the first is one colour and no face, and stays; from the second on there may be one. No channel
#: is taken to span less than `_LEAST`: hardly more than the steps of 8 bits are left there.
_PLAIN, _SOMETHING, _LEAST = 0.02, 0.06, 0.08
#: Nor is a channel's mean taken to be fainter than this beside its darkest: under one colour of light there is nothing
#: in the others but noise.
_FAINT = 0.025
#: A face whose channels are no further apart than the first is grey, which networks know; from the second on it is not.
_GREY, _COLOURED = 0.01, 0.03
_HUNDREDTH = 0.01
#: Pixels a side at which a face is looked at.
_LOOKED_AT = 64
#: What the channels of a usual face are multiplied by, and given.
_NOTHING = (1.0,) * 3 + (0.0,) * 3


def exposed(crops: Tensor) -> tuple[Tensor, Tensor | None]:
    """Crops (N, 3, S, S) in [0, 1] as bright, as contrasty and in as natural a light as usual faces, and by how much
    (N, 3, 1, 1) each channel was stretched; the crops themselves and None where all are usual ones.
    """
    changes = [_change(crop) for crop in crops]
    if all(change == _NOTHING for change in changes):
        return crops, None
    change = crops.new_tensor(changes)[..., None, None]
    gains, offsets = change[:, :3], change[:, 3:]
    return (crops * gains + offsets).clamp_(0, 1), gains


def unexposed(restored: Tensor, shown: Tensor, gains: Tensor, crops: Tensor) -> Tensor:
    """Restored faces (N, 3, T, T) in the light that their `crops` were in: by what the network changed of what it was
    `shown`, so that what lies beyond a face's range, such as a bright wall, stays. What `exposed` left alone is as
    restored, to the bit.
    """
    before, given = (resize(faces, restored.shape[-1]) for faces in (shown, crops))
    return torch.where((gains == 1).all(1, keepdim=True), restored, given + (restored - before) / gains)


def _pixels(crop: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels (3, P) of a crop (3, S, S), and of the face in it."""
    step = max(1, crop.shape[-1] // _LOOKED_AT)
    seen = crop[:, ::step, ::step]
    return seen.flatten(1), seen[:, _inside(crop.shape[-1], step).to(crop.device)]


def _range(pixels: Tensor) -> tuple[list[float], list[float]]:
    """The darkest hundredth of each channel (3, P), and how far it is from there to the lightest."""
    few = max(1, round(_HUNDREDTH * pixels.shape[-1]))
    darkest = pixels.kthvalue(few).values.tolist()
    lightest = pixels.kthvalue(pixels.shape[-1] + 1 - few).values.tolist()
    return darkest, [light - dark for light, dark in zip(lightest, darkest, strict=True)]


def _contrast(spans: list[float], usual: tuple[float, ...]) -> float:
    """How far the channels span beside a usual face, or crop, in logarithms."""
    return sum(_log_ratio(span, beside, _LEAST) for span, beside in zip(spans, usual, strict=True)) / 3


def _change(crop: Tensor) -> tuple[float, ...]:
    """The factors of the three channels, and what each is given then, of a crop (3, S, S) in [0, 1]."""
    everything, face = _pixels(crop)
    darkest, spans = _range(face)
    tints = [
        _log_ratio(mean - dark, usual, _FAINT)
        for mean, dark, usual in zip(face.mean(1).tolist(), darkest, _MEAN, strict=True)
    ]
    there = rise(max(spans), _PLAIN, _SOMETHING)
    coloured = rise(float((face.amax(0) - face.amin(0)).mean()), _GREY, _COLOURED)
    alone = _contrast(spans, _SPAN)
    whole = max(alone, _contrast(_range(everything)[1], _SPAN_OF_CROP))
    flat = there * (1 - rise(math.exp(whole), _FLAT, _USUAL))
    backlit = there * (1 - rise(math.exp(alone), _FLAT_ALONE, _USUAL_ALONE))
    cast = there * coloured * _cast(*tints)
    share = max(flat, backlit, cast)
    if share == 0:
        return _NOTHING
    stretch, tint_of_all = max(-flat * whole, -backlit * alone), sum(tints) / 3
    factors = [math.exp(stretch - cast * (tint - tint_of_all)) for tint in tints]
    offsets = [share * min(0.0, _DARKEST - dark * f) for dark, f in zip(darkest, factors, strict=True)]
    return (*factors, *offsets)


def _cast(red: float, green: float, blue: float) -> float:
    """How much of its colour a face is to lose, of 1; its channels in logarithms beside a usual face's."""
    redder, bluer = red - green, blue - green
    away = math.hypot(redder / _RED, bluer / (_MORE_BLUE if bluer > 0 else _LESS_BLUE))
    return rise(away, _NATURAL, _CAST) * (1 - 1 / max(away, 1))


def _log_ratio(value: float, usual: float, least: float) -> float:
    return math.log(max(value, least) / usual)


@lru_cache(maxsize=4)
def _inside(size: int, step: int) -> Tensor:
    """Which of every `step`-th pixel, both ways, of a crop of `size` px are the face's."""
    return ellipse_mask(size)[::step, ::step] > 0.5
