"""Last step: restored faces back in their picture, batch by batch, until the last is there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import FaceError, InputError
from ..faces.colour import are_grey, luma, match_crop, match_surroundings
from ..faces.levels import round_, smoothed
from ..faces.paste import Window, compose, place, resolve_overlaps
from ..faces.types import Detection, FaceCrops
from ..images import Picture, convert_like, from_srgb
from ..images.resize import resize
from ..options import RestoreOptions
from .masks import CropMasks
from .result import RestoredFace, RestoredPicture

#: The strength of one face by its crop (3, S, S), its result (3, T, T) and what the options say.
StrengthOf = Callable[[Tensor, Tensor, float], float]


class PictureWork:
    """A picture whose faces are being restored.

    given: what the caller gave, whose kind the result has. masks: (H, W) or (N, H, W) of the canvas, or None.
    canvas: the picture that faces are put into, where it is not the one they come from. aligned: the picture is one
    straightened face. strength_of: decides each face's strength, given what the options say.
    """

    def __init__(
        self,
        given: Any,
        picture: Picture,
        detections: Sequence[Detection],
        *,
        masks: Any = None,
        canvas: Picture | None = None,
        aligned: bool = False,
        strength_of: StrengthOf | None = None,
    ) -> None:
        self.picture, self.aligned = picture, aligned
        self.detections = tuple(detections)
        self._given, self._canvas = given, canvas or picture
        self._masks = None if masks is None else _checked_masks(masks, self._canvas, len(self.detections))
        self._strength_of = strength_of
        self._windows: list[Window] = []
        self._strengths: list[float] = []
        self._faces: list[tuple[Tensor, Tensor | None, Tensor | None]] = []

    @property
    def has_masks(self) -> bool:
        """Whether the caller gave masks."""
        return self._masks is not None

    @property
    def pixels(self) -> int:
        """How many are held for it, besides its faces."""
        return self._canvas.width * self._canvas.height

    @property
    def complete(self) -> bool:
        """Whether every face has been added."""
        return len(self._windows) == len(self.detections)

    def add(self, faces: FaceCrops, restored: Tensor, masks: CropMasks, options: RestoreOptions) -> None:
        """Takes the next faces: their crops, the network's results (N, 3, T, T) in [0, 1] and the masks."""
        first = len(self._windows)
        strengths = [options.blending.strength_of(first + index) for index in range(len(faces))]
        if self._strength_of is not None:
            strengths = [self._strength_of(*face) for face in zip(faces.crops, restored, strengths, strict=True)]
        final = _finished(faces, restored, masks, options, strengths, grey=self.picture.grey)
        for index in range(len(faces)):
            window = self._placed(from_srgb(final[index], self.picture.icc_profile), faces, masks, index, options)
            if self._masks is not None:
                x1, y1, x2, y2 = window.rectangle
                window.mask.mul_(self._masks[min(first + index, len(self._masks) - 1), y1:y2, x1:x2])
            self._windows.append(window)
            kept = (faces.crops[index], restored[index]) if options.keep_crops else (None, None)
            self._faces.append((faces.affines[index], *kept))
        self._strengths += strengths

    def _placed(self, face: Tensor, faces: FaceCrops, masks: CropMasks, index: int, options: RestoreOptions) -> Window:
        mask, size = masks.masks[index], faces.crops.shape[-1]
        strength = None if masks.strengths is None else masks.strengths[index]
        if not faces.whole:
            affine, antialias = faces.affines[index], options.antialias
            return place(face, mask, affine, size, faces.picture_size, strength=strength, antialias=antialias)
        side = self._canvas.width
        layers = [
            resize(layer[None], side, antialias=options.antialias)[0]
            for layer in (face, mask[None], *(() if strength is None else (strength[None],)))
        ]
        return Window(
            rectangle=(0, 0, side, side),
            face=layers[0].clamp(0, 1),
            mask=layers[1][0].clone(),
            claim=torch.ones_like(layers[1][0]),
            strength=1.0 if strength is None else layers[2][0],
        )

    def result(self, options: RestoreOptions, *, in_place: bool = False) -> RestoredPicture:
        """The picture with all faces put back; in_place: into the pixels that were given."""
        shares = []
        for index, share in enumerate(resolve_overlaps(self._windows, options.blending.overlap)):
            # With 8 bits the strength has been mixed into the face already.
            shares.append(
                share * (self._windows[index].strength * (1.0 if options.eight_bits else self._strengths[index]))
            )
        pixels = compose(
            self._canvas.pixels,
            self._windows,
            shares,
            self._canvas.full_scale,
            blend=options.blending.blend,
            grain=options.blending.grain,
            rounded=options.eight_bits,
            in_place=in_place,
        )
        rows = zip(self.detections, self._windows, shares, self._strengths, self._faces, strict=True)
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
            for detection, window, share, strength, (affine, crop, restored) in rows
        )
        decoded = self._canvas.with_pixels(pixels)
        return RestoredPicture(picture=convert_like(decoded, self._given), faces=faces, decoded=decoded)


def _finished(
    faces: FaceCrops,
    restored: Tensor,
    masks: CropMasks,
    options: RestoreOptions,
    strengths: Sequence[float],
    *,
    grey: bool,
) -> list[Tensor]:
    """Restored faces, (3, T, T) each, as they are to be put back: made grey, matched in colour, smoothed, as asked.

    With `options.eight_bits` each one's strength is mixed into the crop and rounded, as the reference does, at the
    crop's size. grey: all of them lose their colour.
    """
    blending = options.blending
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
