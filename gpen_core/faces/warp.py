"""Resampling under a similarity: crops out of a picture, faces back into it."""

from __future__ import annotations

from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import FaceError, InputError
from ..options import Border
from .geometry import invert_affine, scale_of, transform

#: A pixel of the result may cover this many source pixels before the source is shrunk first: bilinear sampling at
#: 1.25 still keeps 80 % of the frequencies and aliases next to nothing.
_COARSEST_STEP = 1.25
#: Crops that would need more source pixels than this (in one direction) come from landmarks that are no face's.
_LARGEST_REACH = 65536


def warp(source: Tensor, affine: Tensor, size: tuple[int, int], *, antialias: bool = True) -> Tensor:
    """`source` (C, h, w) float as seen through `affine` (2, 3), result pixels → source pixels: (C, *size), bilinear;
    zero beyond the source.

    antialias: the source is shrunk first where a result pixel covers more than one of its own.
    """
    channels, height, width = source.shape
    if height == 0 or width == 0 or 0 in size:
        return source.new_zeros(channels, *size)
    coarse = scale_of(affine)
    if antialias and coarse > _COARSEST_STEP:
        shrunk = (max(1, round(height / coarse)), max(1, round(width / coarse)))
        source = F.interpolate(source[None], shrunk, mode="bilinear", antialias=True, align_corners=False)[0]
        ratio = affine.new_tensor([shrunk[1] / width, shrunk[0] / height])
        affine = affine * ratio[:, None]
        affine[:, 2] += 0.5 * ratio - 0.5
        height, width = shrunk
    grid = _grid(affine, size, (height, width), source)
    return F.grid_sample(source[None], grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0]


def _grid(affine: Tensor, size: tuple[int, int], source_size: tuple[int, int], like: Tensor) -> Tensor:
    """(1, *size, 2): source positions in grid_sample's units, -1 and 1 at the outer edges of the source."""
    rows, columns = (torch.arange(n, dtype=torch.float64) for n in size)
    grid = torch.empty(1, *size, 2, dtype=like.dtype, device=like.device)
    for axis, length in enumerate((source_size[1], source_size[0])):
        a, b, offset = affine[axis].tolist()
        scale, shift = 2 / length, 1 / length - 1
        across, down = columns * (a * scale), rows * (b * scale) + (offset * scale + shift)
        torch.add(across.to(like)[None], down.to(like)[:, None], out=grid[0, ..., axis])
    return grid


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
    crops = torch.empty(len(affine), image.shape[0], size, size, dtype=kind, device=image.device)
    for index, inverse in enumerate(invert_affine(affine)):
        part, (x, y) = _surroundings(image, inverse, size, border)
        moved = inverse.clone()
        moved[:, 2] -= torch.tensor([x, y], dtype=moved.dtype)
        # Copied into planes while small: neighbours in a row are neighbours in memory for what follows.
        part = torch.div(part, full_scale).to(kind, memory_format=torch.contiguous_format)
        crops[index] = warp(part.contiguous(), moved, (size, size), antialias=antialias)
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
