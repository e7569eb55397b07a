"""Restored faces as they are to be put back: in the picture's tone, matched in colour, smoothed, as asked."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..faces.colour import are_grey, match_crop, match_surroundings
from ..faces.levels import round_, smoothed
from ..faces.tone import Tone
from ..faces.types import FaceCrops
from ..images.planes import luma, resize
from ..options import RestoreOptions
from .masks import CropMasks


def finished(
    faces: FaceCrops,
    restored: Tensor,
    masks: CropMasks,
    options: RestoreOptions,
    strengths: Sequence[float],
    *,
    grey: bool,
    tone: Tone | None,
) -> list[Tensor]:
    """Restored faces, (3, T, T) each, as they are to be put back.

    With `options.eight_bits` each one's strength is mixed into the crop and rounded, as the reference does, at the
    crop's size. grey: all of them lose their colour. tone: the one they take on.
    """
    blending = options.blending
    if not len(restored):  # as of a film's frame without a face
        return []
    if tone is not None:
        restored = tone.of(restored)
    restored = _without_colour(faces.crops, restored, every=grey, where_crop_is_grey=blending.keep_grey)
    if blending.colour_match != "none":
        crops = resize(faces.crops, restored.shape[-1], antialias=False)
        size = restored.shape[-1]
        whole = torch.stack([resize(mask[None, None], size, antialias=False)[0, 0] for mask in masks.masks])
        match = match_surroundings if blending.colour_match == "surroundings" else match_crop
        restored = match(restored, crops, whole)
    size = faces.crops.shape[-1]
    result = []
    for index, face in enumerate(restored):
        # One by one: what stays in the cache is done in a fraction of the time.
        if faces.detections[index].size < blending.smooth_below:
            face = smoothed(face)
            face = round_(face) if options.eight_bits else face
        if options.eight_bits:
            face = resize(face[None], size, antialias=False)[0]
            alpha = strengths[index]
            face = round_(torch.lerp(faces.crops[index], face, alpha)) if alpha < 1 else face
        result.append(face)
    return result


def _without_colour(crops: Tensor, restored: Tensor, *, every: bool, where_crop_is_grey: bool) -> Tensor:
    if every:
        return luma(restored).expand_as(restored)
    if not where_crop_is_grey:
        return restored
    return torch.where(are_grey(crops)[:, None, None, None], luma(restored), restored)
