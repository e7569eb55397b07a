"""Resampling a batch in which every picture has a size of its own: two matrix products, on any device.

A ragged batch is (pixels (B, C, N, N), sizes): picture i occupies the top left sizes[i] × sizes[i]; what lies beyond
is undefined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

Filter = Literal["area", "linear", "cubic"]
Border = Literal["replicate", "reflect"]


def resample(pixels: Tensor, sizes: Sequence[int], new_sizes: Sequence[int], filters: Sequence[Filter]) -> Tensor:
    """The ragged batch (B, C, M, M) with picture i resized from sizes[i] to new_sizes[i] by filters[i]; M is the
    largest.

    "linear" and "cubic" take 2 and 4 neighbours without anti-aliasing, as OpenCV does; "area" averages what each pixel
    covers.
    """
    largest = max(new_sizes)
    result = pixels.new_zeros(*pixels.shape[:2], largest, largest)
    for i, (size, new_size, kind) in enumerate(zip(sizes, new_sizes, filters, strict=True)):
        picture = pixels[i, :, :size, :size]
        if size != new_size:
            matrix = _matrix(size, new_size, kind, pixels.device)
            picture = matrix @ picture @ matrix.T
        result[i, :, :new_size, :new_size] = picture
    return result


def with_border(
    pixels: Tensor, sizes: Sequence[int], before: int | Sequence[int], extent: int, border: Border
) -> Tensor:
    """(B, C, extent, extent): each picture from `before` pixels (one number, or one for each) outside its top left
    corner on, continued beyond its own edges.
    """
    starts = [before] * len(sizes) if isinstance(before, int) else before
    position = torch.arange(extent, device=pixels.device)[None] - torch.tensor(starts, device=pixels.device)[:, None]
    last = torch.tensor(sizes, device=pixels.device)[:, None] - 1
    if border == "replicate":
        index = torch.minimum(position.clamp(min=0), last)
    else:
        period = (2 * last).clamp(min=1)
        index = position.remainder(period)
        index = torch.minimum(index, period - index)
        index = torch.minimum(index, last)
    batch = torch.arange(len(sizes), device=pixels.device)[:, None, None]
    return pixels.permute(0, 2, 3, 1)[batch, index[:, :, None], index[:, None, :]].permute(0, 3, 1, 2)


def _matrix(size: int, new_size: int, kind: Filter, device: torch.device) -> Tensor:
    """(new_size, size): the weights of the old pixels in each new one; rows sum to one."""
    step = size / new_size
    old = torch.arange(size, device=device, dtype=torch.float32)[None]
    new = torch.arange(new_size, device=device, dtype=torch.float32)[:, None]
    if kind == "area" and new_size < size:
        low, high = new * step, (new + 1) * step
        weights = (torch.minimum(high, old + 1) - torch.maximum(low, old)).clamp(min=0)
    else:
        distance = (old - ((new + 0.5) * step - 0.5)).abs()
        weights = _cubic(distance) if kind == "cubic" else (1 - distance).clamp(min=0)
    return weights / weights.sum(1, keepdim=True)


def _cubic(x: Tensor, a: float = -0.75) -> Tensor:
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return torch.where(x <= 1, near, torch.where(x < 2, far, torch.zeros_like(x)))
