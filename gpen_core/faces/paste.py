"""Restored faces back into their picture: windows, overlaps, composition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..images.planes import planes_of
from . import levels
from .geometry import invert_affine, moved_origin, rectangle_of, resize_affine, scale_of, transform
from .grain import make_grain, measure_grain
from .laplacian import laplacian_change
from .warp import warp

Rectangle = tuple[int, int, int, int]

#: How fast a face's claim on a contested pixel falls with the distance to its centre, in squared half crops.
_CLAIM = 8.0
#: Pixels of a face mixed in at once.
_AT_ONCE = 1 << 17


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """A restored face as it lies over the picture.

    rectangle: x1, y1, x2, y2, last ones excluded. face: (3, h, w) in [0, 1]. mask: (h, w) in [0, 1].
    claim: (h, w) above zero, the face's weight where several meet. strength: (h, w) or one number, factor of its share.
    """

    rectangle: Rectangle
    face: Tensor
    mask: Tensor
    claim: Tensor
    strength: Tensor | float = 1.0


def extent(mask: Tensor) -> Rectangle:
    """x1, y1, x2, y2 (last ones excluded) of what is above zero in (H, W); empty where nothing is."""
    rows, columns = ((mask > 0).any(axis).nonzero()[:, 0] for axis in (1, 0))
    if not len(rows):
        return (0, 0, 0, 0)
    return (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def place(
    face: Tensor | None,
    mask: Tensor,
    affine: Tensor,
    crop_size: int,
    picture_size: tuple[int, int],
    *,
    strength: Tensor | None = None,
    antialias: bool = True,
) -> Window:
    """A face (3, T, T) and its mask (M, M) over a picture (height, width); without a face, its place alone.

    affine: (2, 3), picture pixels → pixels of a crop of `crop_size` px. strength: (K, K), factor of the mask after
    overlaps are resolved. antialias: see `warp`.
    The window is as small as the mask lets it be, and empty where the mask is.
    """
    part = extent(mask)
    to_mask = resize_affine(affine, crop_size, mask.shape[-1])
    x1, y1, x2, y2 = rectangle = rectangle_of(invert_affine(to_mask), part, picture_size)
    none = mask.new_zeros(3, 0, 0)
    if part[2] == 0 or x1 >= x2 or y1 >= y2:
        return Window(rectangle=(0, 0, 0, 0), face=none, mask=mask[:0, :0], claim=mask[:0, :0])

    def placed(layer: Tensor, *, cubic: bool = False) -> Tensor:
        into = moved_origin(resize_affine(affine, crop_size, layer.shape[-1]), x1, y1)
        return warp(layer, into, (y2 - y1, x2 - x1), antialias=antialias, cubic=cubic)

    claim = _claim(moved_origin(affine, x1, y1), crop_size, (y2 - y1, x2 - x1)).to(mask)
    return Window(
        rectangle=rectangle,
        face=none if face is None else placed(face, cubic=antialias),
        mask=placed(mask[None])[0],
        claim=claim,
        strength=1.0 if strength is None else placed(strength[None])[0],
    )


def _claim(affine: Tensor, crop_size: int, size: tuple[int, int]) -> Tensor:
    """(h, w): falls with the distance to the crop's centre, as the distance counts in the crop."""
    m = (scale_of(affine) / (crop_size / 2)) ** 2
    middle = affine.new_tensor([[(crop_size - 1) / 2, (crop_size - 1) / 2]])
    x, y = transform(invert_affine(affine), middle)[0].tolist()
    across = (torch.arange(size[1]) - x).square() * m
    down = (torch.arange(size[0]) - y).square() * m
    return torch.exp(-_CLAIM * across)[None] * torch.exp(-_CLAIM * down)[:, None] + 1e-6


def resolve_overlaps(windows: Sequence[Window], overlap: Literal["soft", "hard"]) -> list[Tensor]:
    """For each window the share (h, w) of the result that is its face, before strength; they sum to at most one.

    soft: the picture keeps what every mask leaves of it, the rest is divided by mask times claim, so that no edge
    shows where faces meet. hard: the largest mask takes the pixel, the first of equals (GPEN).
    """
    shares = []
    for index, window in enumerate(windows):
        meeting = [(j, other) for j, other in enumerate(windows) if j != index and _meet(window, other)]
        if not meeting:
            shares.append(window.mask)
            continue
        if overlap == "hard":
            won = torch.ones_like(window.mask, dtype=torch.bool)
            for j, other in meeting:
                mine, theirs = _common(window, other)
                beaten = (
                    other.mask[theirs] >= window.mask[mine] if j < index else other.mask[theirs] > window.mask[mine]
                )
                won[mine] &= ~beaten
            shares.append(window.mask * won)
            continue
        left = 1 - window.mask
        weight = window.mask * window.claim
        total = weight.clone()
        for _, other in meeting:
            mine, theirs = _common(window, other)
            left[mine] *= 1 - other.mask[theirs]
            total[mine] += other.mask[theirs] * other.claim[theirs]
        shares.append((1 - left) * weight / total.clamp_min(1e-12))
    return shares


def _meet(a: Window, b: Window) -> bool:
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = a.rectangle, b.rectangle
    return ax1 < bx2 and bx1 < ax2 and ay1 < by2 and by1 < ay2


def _common(a: Window, b: Window) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The rows and columns that two windows share, in each one's own."""
    x1, y1 = max(a.rectangle[0], b.rectangle[0]), max(a.rectangle[1], b.rectangle[1])
    x2, y2 = min(a.rectangle[2], b.rectangle[2]), min(a.rectangle[3], b.rectangle[3])

    def within(window: Window) -> tuple[slice, slice]:
        left, top = window.rectangle[:2]
        return slice(y1 - top, y2 - top), slice(x1 - left, x2 - left)

    return within(a), within(b)


def compose(
    pixels: NDArray[Any],
    windows: Sequence[Window],
    shares: Sequence[Tensor],
    full_scale: float,
    *,
    blend: Literal["alpha", "laplacian"] = "alpha",
    grain: float = 0.0,
    rounded: bool = False,
    in_place: bool = False,
) -> NDArray[Any]:
    """A copy of `pixels` (H, W, 3), same kind of number, with every face mixed in by its share; integers are rounded.

    grain: how much of the picture's grain around a face is laid over it. rounded: warped faces are rounded to 8 bits
    before they are mixed in. in_place: no copy, `pixels` itself. Where all
    shares are zero the numbers are the same to the bit.
    """
    result: NDArray[Any] = pixels if in_place else pixels.copy()
    # Where two faces overlap, both are measured against the picture without either.
    originals = [pixels[y1:y2, x1:x2] for x1, y1, x2, y2 in (window.rectangle for window in windows)]
    originals = [region.copy() for region in originals] if in_place else originals
    grains: list[Any] = [
        measure_grain(_around(pixels, window.rectangle).to(share) / full_scale) if grain else None
        for window, share in zip(windows, shares, strict=True)
    ]
    for window, share, original, found in zip(windows, shares, originals, grains, strict=True):
        x1, y1, x2, y2 = window.rectangle
        if x1 >= x2 or y1 >= y2:
            continue
        # Whole only where neighbours count: a band of rows that stays in the cache takes half the time, and a large
        # face's floats are not all there at once.
        whole = blend == "laplacian" or found is not None
        rows = y2 - y1 if whole else max(1, _AT_ONCE // (x2 - x1))
        for top in range(0, y2 - y1, rows):
            part = slice(top, top + rows)
            face = window.face[:, part]
            face = (levels.round_(face.clone()) if rounded else face) * full_scale
            before, band = planes_of(original[part]).to(share), share[part]
            change = laplacian_change(before, face, band) if blend == "laplacian" else band * (face - before)
            if found is not None:
                # What of the picture's own grain a share s leaves, (1 - s)² of its variance, is filled up to all of it.
                lacking = (band * (2 - band)).sqrt()
                change = (
                    change + grain * lacking * make_grain(found, before / full_scale, face / full_scale) * full_scale
                )
            here = result[y1:y2, x1:x2][part]
            mixed = planes_of(here).to(share) + change
            if pixels.dtype.kind == "u":
                mixed = mixed.round_().clamp_(0, full_scale)
            touched = (band > 0).cpu().numpy()[..., None]
            np.copyto(here, mixed.permute(1, 2, 0).cpu().numpy().astype(pixels.dtype), where=touched)
    return result


def _around(pixels: NDArray[Any], rectangle: Rectangle) -> Tensor:
    """(3, h, w): the pixels of a rectangle and of a quarter of its sides around it."""
    x1, y1, x2, y2 = rectangle
    across, down = (x2 - x1) // 4, (y2 - y1) // 4
    return planes_of(pixels[max(0, y1 - down) : y2 + down, max(0, x1 - across) : x2 + across])
