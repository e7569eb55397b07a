"""One picture on its way: its faces come in batch by batch, and when the last is there the result is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import FaceError, InputError
from ..faces.paste import Window, compose, place, resolve_overlaps
from ..faces.types import Detection, FaceCrops
from ..images import Picture, convert_like, from_srgb
from ..options import RestoreOptions
from .masks import CropMasks, finished
from .result import RestoredFace, RestoredPicture


class PictureWork:
    """A picture whose faces are being restored.

    given: what the caller gave, whose kind the result has. masks: (H, W) or (N, H, W) of the picture, or None.
    """

    def __init__(self, given: Any, picture: Picture, detections: Sequence[Detection], masks: Any = None) -> None:
        self.picture = picture
        self.detections = tuple(detections)
        self._given = given
        self._masks = None if masks is None else _checked_masks(masks, picture, len(self.detections))
        self._windows: list[Window] = []
        self._faces: list[tuple[Tensor, Tensor | None, Tensor | None]] = []

    @property
    def has_masks(self) -> bool:
        """Whether the caller gave masks."""
        return self._masks is not None

    @property
    def complete(self) -> bool:
        """Whether every face has been added."""
        return len(self._windows) == len(self.detections)

    def add(self, faces: FaceCrops, restored: Tensor, masks: CropMasks, options: RestoreOptions) -> None:
        """Takes the next faces: their crops, the network's results (N, 3, T, T) in [0, 1] and the masks."""
        first = len(self._windows)
        final = finished(faces, restored, masks, options, first=first, grey=self.picture.grey)
        for index in range(len(faces)):
            window = place(
                from_srgb(final[index], self.picture.icc_profile),
                masks.masks[index],
                faces.affines[index],
                faces.crops.shape[-1],
                faces.picture_size,
                strength=None if masks.strengths is None else masks.strengths[index],
                antialias=options.antialias,
            )
            if self._masks is not None:
                x1, y1, x2, y2 = window.rectangle
                window.mask.mul_(self._masks[min(first + index, len(self._masks) - 1), y1:y2, x1:x2])
            self._windows.append(window)
            kept = (faces.crops[index], restored[index]) if options.keep_crops else (None, None)
            self._faces.append((faces.affines[index], *kept))

    def result(self, options: RestoreOptions, *, in_place: bool = False) -> RestoredPicture:
        """The picture with all faces put back; in_place: into the pixels that were given."""
        blending = options.blending
        shares, strengths = [], []
        for index, share in enumerate(resolve_overlaps(self._windows, blending.overlap)):
            strength = blending.strength_of(index)
            strengths.append(strength)
            # With 8 bits it has been mixed into the face already.
            factor = self._windows[index].strength * (1.0 if options.eight_bits else strength)
            shares.append(share * factor)
        pixels = compose(
            self.picture.pixels,
            self._windows,
            shares,
            self.picture.full_scale,
            blend=blending.blend,
            grain=blending.grain,
            rounded=options.eight_bits,
            in_place=in_place,
        )
        faces = tuple(
            RestoredFace(
                detection=detection,
                affine=affine,
                rectangle=window.rectangle,
                mask=share,
                strength=strength,
                crop=crop,
                restored=restored,
            )
            for detection, window, share, strength, (affine, crop, restored) in zip(
                self.detections, self._windows, shares, strengths, self._faces, strict=True
            )
        )
        decoded = self.picture.with_pixels(pixels)
        return RestoredPicture(picture=convert_like(decoded, self._given), faces=faces, decoded=decoded)


def _checked_masks(masks: Any, picture: Picture, faces: int) -> Tensor:
    """(1 or N, H, W) float32 in [0, 1]."""
    planes = torch.as_tensor(np.asarray(masks) if not isinstance(masks, Tensor) else masks).detach().cpu()
    planes = planes.float() if planes.is_floating_point() or planes.dtype == torch.bool else planes.float() / 255
    planes = planes[None] if planes.ndim == 2 else planes
    size = (picture.height, picture.width)
    if planes.ndim != 3 or tuple(planes.shape[1:]) != size:
        raise InputError(
            f"the mask has shape {tuple(planes.shape)}; the picture needs (H, W) = {size}, or one such mask per face"
        )
    if len(planes) not in (1, faces):
        raise InputError(f"{len(planes)} masks came with {faces} faces; expected one for all, or one per face")
    if not bool(((planes >= 0) & (planes <= 1)).all()):
        raise FaceError(
            "the mask holds values outside [0, 1], or NaN; floats are expected in [0, 1], integers in 0..255"
        )
    return planes
