"""Last step: restored faces back in their picture, batch by batch, until the last is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..faces.damage import GOOD, damage
from ..faces.geometry import moved_origin, scale_of
from ..faces.own import Shares, shares_of, with_own
from ..faces.paste import Window, compose, place, resolve_overlaps
from ..faces.tone import LOOKED_AT, Tone, tone_of
from ..faces.types import Detection, FaceCrops
from ..faces.warp import warp
from ..images import Picture, convert_like, from_srgb, to_srgb
from ..images.planes import planes_of, resize, shrunk_planes
from ..options import RestoreOptions
from .finish import finished
from .masks import CropMasks, checked_masks
from .result import RestoredFace, RestoredPicture

#: Side of the part of a face by which its noise is judged, pixels.
_LOOKED_AT = 768
#: The strength of one face by its crop (3, S, S), its result (3, T, T) and what the options say.
StrengthOf = Callable[[Tensor, Tensor, float], float]


class PictureWork:
    """A picture whose faces are being restored.

    given: what the caller gave, whose kind the result has. faces: by their numbers. masks: (H, W) or (N, H, W) of the
    canvas, or None. within: (H, W) of the canvas, how much of each pixel may change, or None. canvas: the picture that
    faces are put into, where it is not the one they come from. aligned: the picture is one straightened face.
    strength_of: decides each face's strength, given what the options say.
    """

    def __init__(
        self,
        given: Any,
        picture: Picture,
        faces: Mapping[int, Detection],
        *,
        masks: Any = None,
        within: Any = None,
        canvas: Picture | None = None,
        aligned: bool = False,
        strength_of: StrengthOf | None = None,
    ) -> None:
        self.picture, self.aligned = picture, aligned
        self.detections, self._numbers = tuple(faces.values()), tuple(faces)
        self._given, self._canvas = given, canvas or picture
        self._masks = None if masks is None else checked_masks(masks, self._canvas, len(self.detections))
        self._within = None if within is None else checked_masks(within, self._canvas, 1)[0]
        self._strength_of = strength_of
        self._windows: list[Window] = []
        self._strengths: list[float] = []
        self._faces: list[tuple[Tensor, int, Tensor | None, Tensor | None, float | None, float | None]] = []

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
        strengths = [options.blending.strength_of(self._numbers[first + index]) for index in range(len(faces))]
        if self._strength_of is not None:
            strengths = [self._strength_of(*face) for face in zip(faces.crops, restored, strengths, strict=True)]
        if options.blending.only_damaged:
            strengths = [
                strength if found >= GOOD else 0.0
                for strength, found in zip(strengths, damage(faces.crops).tolist(), strict=True)
            ]
        tone = self._tone if options.blending.keep_tone and not self.picture.grey else None
        final = finished(faces, restored, masks, options, strengths, grey=self.picture.grey, tone=tone)
        for index in range(len(faces)):
            shares = self._shares(faces, final[index], index, options)
            window = self._placed(final[index], faces, masks, index, options, shares)
            if self._masks is not None:
                x1, y1, x2, y2 = window.rectangle
                window.mask.mul_(self._masks[min(first + index, len(self._masks) - 1), y1:y2, x1:x2])
            if self._within is not None:
                x1, y1, x2, y2 = window.rectangle
                window.mask.mul_(self._within[y1:y2, x1:x2])
            self._windows.append(window)
            kept = (faces.crops[index], restored[index]) if options.keep_crops else (None, None)
            unchanged = None if shares is None or not shares.judged else 1 - shares.change
            covered = None if masks.covered is None else masks.covered[index]
            self._faces.append((faces.affines[index], faces.crops.shape[-1], *kept, unchanged, covered))
        self._strengths += strengths

    @cached_property
    def _tone(self) -> Tone | None:
        """That of a picture without colours of its own."""
        small = shrunk_planes(self.picture.pixels, LOOKED_AT)
        return tone_of(to_srgb(small, self.picture.icc_profile))

    def _shares(self, faces: FaceCrops, restored: Tensor, index: int, options: RestoreOptions) -> Shares | None:
        """What of a face is taken from where; None where all is the network's."""
        source, crop = self._source(faces), faces.crops[index]
        scale = source.width / crop.shape[-1] if faces.whole else 1 / scale_of(faces.affines[index])
        if options.eight_bits or not options.blending.keep_detail:
            return None
        return shares_of(crop, restored, _middle(source, None if faces.whole else faces.detections[index]), scale)

    def _source(self, faces: FaceCrops) -> Picture:
        """The picture whose own structure large faces keep: an aligned face may be enlarged beyond its own size."""
        return self._canvas if faces.whole else self.picture

    def _placed(
        self,
        face: Tensor,
        faces: FaceCrops,
        masks: CropMasks,
        index: int,
        options: RestoreOptions,
        shares: Shares | None,
    ) -> Window:
        strength = None if masks.strengths is None else masks.strengths[index]
        size, affine, profile = faces.crops.shape[-1], faces.affines[index], self.picture.icc_profile
        drawn = None if shares is not None and shares.nothing else from_srgb(face, profile)
        if faces.whole:
            window = _over_all(drawn, masks.masks[index], strength, self._canvas.width, antialias=options.antialias)
        else:
            window = place(
                drawn,
                masks.masks[index],
                affine,
                size,
                faces.picture_size,
                strength=strength,
                antialias=options.antialias,
            )
        x1, y1, x2, y2 = window.rectangle
        if shares is None or x1 >= x2:
            return window
        source = self._source(faces)
        there = planes_of(source.pixels[y1:y2, x1:x2]).float().div(source.full_scale)
        if drawn is None:
            return replace(window, face=there)
        low = from_srgb(faces.crops[index], profile)
        if not faces.whole:
            low = warp(low, moved_origin(affine, x1, y1), (y2 - y1, x2 - x1), cubic=True)
        elif x2 - x1 != low.shape[-1]:
            low = _at(low, x2 - x1, antialias=options.antialias)
        else:
            # At their own size both may be the caller's.
            low, window = low.clone(), replace(window, face=window.face.clone())
        return replace(window, face=with_own(there, low, window.face, shares))

    def result(self, options: RestoreOptions, *, in_place: bool = False) -> RestoredPicture:
        """The picture with all faces put back; in_place: into the pixels that were given."""
        shares = []
        for index, share in enumerate(resolve_overlaps(self._windows, options.blending.overlap)):
            strength = self._strengths[index]
            # With 8 bits the strength has been mixed into the face already; without any, nothing is.
            left = 1.0 if options.eight_bits and strength else strength
            shares.append(share * (self._windows[index].strength * left))
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
                in_size=in_size,
                kept=kept,
                covered=covered,
            )
            for detection, window, share, strength, (affine, in_size, crop, restored, kept, covered) in rows
        )
        decoded = self._canvas.with_pixels(pixels)
        return RestoredPicture(picture=convert_like(decoded, self._given), faces=faces, decoded=decoded)


@dataclass(frozen=True, eq=False)
class Unpasted:
    """A picture whose faces are restored, and put back when it is first asked for, wherever that is."""

    work: PictureWork
    options: RestoreOptions

    @cached_property
    def result(self) -> RestoredPicture:
        """The picture with all faces put back."""
        return self.work.result(self.options)

    @property
    def picture(self) -> Any:
        """That of the result."""
        return self.result.picture

    @property
    def faces(self) -> tuple[RestoredFace, ...]:
        """Those of the result."""
        return self.result.faces


def _over_all(face: Tensor | None, mask: Tensor, strength: Tensor | None, side: int, *, antialias: bool) -> Window:
    """An aligned face over all of its picture of `side` px; see `place`."""
    shape, factor = (
        None if layer is None else resize(layer[None, None], side, antialias=antialias)[0, 0].clone()
        for layer in (mask, strength)
    )
    assert shape is not None
    return Window(
        rectangle=(0, 0, side, side),
        face=shape.new_zeros(3, 0, 0) if face is None else _at(face, side, antialias=antialias),
        mask=shape,
        claim=torch.ones_like(shape),
        strength=1.0 if factor is None else factor,
    )


def _at(face: Tensor, side: int, *, antialias: bool) -> Tensor:
    """(3, side, side): cubic, as `warp` is for what goes back: bilinear takes a fifth more of the finest lines."""
    return resize(face[None], side, mode="bicubic", antialias=antialias)[0].clamp(0, 1)


def _middle(picture: Picture, face: Detection | None) -> Tensor:
    """(3, h, w) in [0, 1]: the middle of a face (of all of the picture without one), at most 768 px a side."""
    left, top, right, bottom = (0.0, 0.0, picture.width, picture.height) if face is None else face.box.tolist()
    spans = []
    for low, high, length in ((top, bottom, picture.height), (left, right, picture.width)):
        half = min(high - low, _LOOKED_AT) / 2
        middle = min(max((low + high) / 2, 0), length)
        spans.append(slice(int(max(middle - half, 0)), int(min(middle + half, length)) + 1))
    return planes_of(picture.pixels[spans[0], spans[1]]).float().div(picture.full_scale)
