"""What a run does to its pictures: restore them (larger, if asked), restore aligned faces, or only find faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..background import Upscaler, resized
from ..errors import InputError
from ..faces.select import select
from ..images import Picture, from_srgb, to_srgb
from ..images.picture import to_depth
from ..images.resize import resize
from ..options import RestoreOptions, Selection
from ..restore import FaceRestorer
from ..restore.detect import Detector, find_faces
from .run import Process, Processed


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A result that pastes no face: a picture, and what was found in it or done to it."""

    picture: Picture
    faces: Sequence[Any] = ()
    changed: bool = False


def restoring(
    restorer: FaceRestorer, options: RestoreOptions, *, scale: int = 1, upscaler: Upscaler | None = None
) -> Process:
    """Restores every face. scale: results so many times as wide and high, by `upscaler`, or bilinearly without one."""
    if scale == 1:
        return lambda pictures: list(restorer.restore_many(pictures, options))

    def enlarged(picture: Picture) -> Processed:
        plain = resized(picture, scale)
        canvas = plain if upscaler is None else upscaler(picture, scale)
        faces = restorer.align(plain, restorer.detect(plain, options.selection), options)
        restored = restorer.run(faces.crops, options)
        return restorer.paste(canvas, faces, restored, restorer.masks(faces, restored, options), options)

    return lambda pictures: [enlarged(picture) for picture in pictures]


def restoring_aligned(restorer: FaceRestorer, options: RestoreOptions, *, scale: int = 1) -> Process:
    """Runs pictures that are straightened faces through the network as they are; results have their size, times
    `scale`."""

    def restored(picture: Picture) -> Processed:
        if picture.width != picture.height:
            raise InputError(
                f"{picture.path or 'the picture'} is {picture.width}×{picture.height}; an aligned face is square; "
                "leave --aligned out for photographs"
            )
        face = torch.from_numpy(to_depth(picture.pixels, np.float32)).permute(2, 0, 1)[None]
        crop = to_srgb(face, picture.icc_profile)
        result = restorer.run(resize(crop, restorer.model.config.in_size), options)
        size = picture.width * scale
        result = torch.lerp(resize(crop, size), resize(result, size).clamp(0, 1), options.blending.strength)
        if picture.grey:
            result = result.mean(dim=1, keepdim=True).expand_as(result)
        numbers = from_srgb(result, picture.icc_profile)[0].permute(1, 2, 0).numpy()
        larger = resized(picture, scale)
        return Outcome(picture=larger.with_pixels(to_depth(numbers, picture.pixels.dtype.type)), changed=True)

    return lambda pictures: [restored(picture) for picture in pictures]


def finding(detector: Detector, selection: Selection) -> Process:
    """Leaves the pictures as they are, with the faces that `selection` lets through."""

    def found(picture: Picture) -> Processed:
        return Outcome(picture=picture, faces=select(find_faces(detector, picture, selection), selection))

    return lambda pictures: [found(picture) for picture in pictures]
