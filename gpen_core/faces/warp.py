"""Resampling under a similarity: crops out of a picture, faces back into it."""

from __future__ import annotations

from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import FaceError, InputError
from ..options import Border
from .geometry import invert_affine, scale_of, transform

#: A pixel of the result may cover this many source pixels before the source is shrunk first: up to here bilinear
#: sampling is closer to the mean over a pixel than filtering and then sampling (photographs: 49 against 47 dB at 1.3).
_COARSEST_STEP = 1.6
#: Then it is shrunk so far that this many remain: sampling filters once more, and twice would be soft (50 against 41 dB
#: at 2, 47 against 38 dB at 3).
_REMAINING_STEP = 1.5
#: Up to here, and where the source is shrunk first, cubic sampling is closer (photographs: 65 dB against 46 of bilinear
#: at a step of 0.4, 56 against 48 at 0.7, 51 against 46 at 1.7, 48 against 42 at 3); between the two it is not (46
#: against 51 dB at 1.3).
_FINEST_STEP = 1.05
#: Crops that would need more source pixels than this (in one direction) come from landmarks that are no face's.
_LARGEST_REACH = 65536


def warp(
    source: Tensor, affine: Tensor, size: tuple[int, int], *, antialias: bool = True, cubic: bool = False
) -> Tensor:
    """`source` (C, h, w) float as seen through `affine` (2, 3), result pixels → source pixels: (C, *size); zero beyond
    the source.

    antialias: the source is shrunk first where a result pixel covers more than one of its own. cubic: for pictures in
    [0, 1] whose lines are to stay, where cubic sampling is closer to the mean over a pixel; beyond the source is its
    edge then.
    """
    cubic = cubic and not _FINEST_STEP < scale_of(affine) <= _COARSEST_STEP
    if antialias:
        source, affine = _shrunk(source, affine)
    if 0 in source.shape[1:]:
        source = source.new_zeros(source.shape[0], 1, 1)
    # Each by itself: sampled together, sources share a size, and their places end in other last bits with other mates.
    grid = torch.empty(1, *size, 2, dtype=source.dtype, device=source.device)
    _fill_grid(grid[0], affine, (source.shape[1], source.shape[2]))
    if cubic:
        return F.grid_sample(source[None], grid, "bicubic", padding_mode="border", align_corners=False)[0].clamp_(0, 1)
    return F.grid_sample(source[None], grid, "bilinear", padding_mode="zeros", align_corners=False)[0]


def _shrunk(source: Tensor, affine: Tensor) -> tuple[Tensor, Tensor]:
    """A source with no more pixels than the result resolves, and the map into it."""
    _, height, width = source.shape
    coarse = scale_of(affine)
    if coarse <= _COARSEST_STEP or 0 in (height, width):
        return source, affine
    factor = coarse / _REMAINING_STEP
    size = (max(1, round(height / factor)), max(1, round(width / factor)))
    ratio = affine.new_tensor([size[1] / width, size[0] / height])
    affine = affine * ratio[:, None]
    affine[:, 2] += 0.5 * ratio - 0.5
    return F.interpolate(source[None], size, mode="bilinear", antialias=True, align_corners=False)[0], affine


def _fill_grid(grid: Tensor, affine: Tensor, source_size: tuple[int, int]) -> None:
    """Writes source positions into (h, w, 2) in grid_sample's units, -1 and 1 at the outer edges of the source."""
    rows, columns = (torch.arange(n, dtype=torch.float64) for n in grid.shape[:2])
    for axis, length in enumerate((source_size[1], source_size[0])):
        a, b, offset = affine[axis].tolist()
        scale, shift = 2 / length, 1 / length - 1
        across, down = columns * (a * scale), rows * (b * scale) + (offset * scale + shift)
        torch.add(across.to(grid)[None], down.to(grid)[:, None], out=grid[..., axis])


def crop_faces(
    image: Tensor,
    affine: Tensor,
    size: int,
    border: Border = "black",
    *,
    antialias: bool = True,
    full_scale: float = 1.0,
) -> Tensor:
    """Face crops (N, 3, size, size) of `image` (3, H, W), in its range over `full_scale`; float32 unless it is a float
    already.

    affine: (N, 2, 3), image pixels → crop pixels, pixel centres at integers. border: what stands beyond the image's
    edge. antialias: see `warp`. Only each face's surroundings become floats, so the image may be integers.
    Raises FaceError when a matrix is singular or takes in more than 65,536 px.
    """
    if border not in get_args(Border):
        raise InputError(f"the border is {border!r}; expected one of {', '.join(get_args(Border))}")
    kind = image.dtype if image.is_floating_point() else torch.float32
    inverses = invert_affine(affine)
    crops = torch.empty(len(inverses), image.shape[0], size, size, dtype=kind, device=image.device)
    for crop, inverse in zip(crops, inverses, strict=True):
        part, (x, y) = _surroundings(image, inverse, size, border)
        # Made planes while small: neighbours in a row are neighbours in memory for what follows.
        source = torch.div(part, full_scale).to(kind).contiguous()
        moved = inverse.clone()
        moved[:, 2] -= torch.tensor([x, y], dtype=inverse.dtype)
        crop.copy_(warp(source, moved, (size, size), antialias=antialias))
    return crops


def _surroundings(image: Tensor, inverse: Tensor, size: int, border: Border) -> tuple[Tensor, tuple[int, int]]:
    """The part of the image under a crop with a margin for filters, and the position x, y of its first pixel."""
    height, width = image.shape[-2:]
    corners = torch.tensor([[0.0, 0.0], [size - 1.0, 0.0], [0.0, size - 1.0], [size - 1.0, size - 1.0]])
    reached = transform(inverse, corners)
    margin = 2 + int(2 * scale_of(inverse))
    low, high = (reached.amin(0).floor() - margin).tolist(), (reached.amax(0).ceil() + margin + 1).tolist()
    if not max(high[0] - low[0], high[1] - low[1]) <= _LARGEST_REACH:
        raise FaceError(
            f"a face's crop spans {high[0] - low[0]:.0f}×{high[1] - low[1]:.0f} px of the picture; expected at most "
            f"{_LARGEST_REACH}; its landmarks are no face's"
        )
    # Mirrored once at most: what lies further out is black, whatever the border.
    far = 1 if border == "reflect" else 0
    spans = []
    for first, last, length in ((low[0], high[0], width), (low[1], high[1], height)):
        start = int(min(max(first, -far * (length - 1)), length))
        stop = int(max(min(last, length + far * (length - 1)), start))
        spans.append((start, stop, length))
    (x1, x2, _), (y1, y2, _) = spans
    if x1 >= 0 and y1 >= 0 and x2 <= width and y2 <= height:
        return image[:, y1:y2, x1:x2], (x1, y1)
    columns, rows = (_mirrored(start, stop, length).to(image.device) for start, stop, length in spans)
    return image[:, rows[:, None], columns[None]], (x1, y1)


def _mirrored(start: int, stop: int, length: int) -> Tensor:
    """Indices start … stop - 1 folded at the first and last pixel, neither of which is repeated."""
    index = torch.arange(start, stop).abs()
    return torch.where(index >= length, 2 * (length - 1) - index, index)
