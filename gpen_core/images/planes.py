"""Pictures as planes: without a copy, shrunk, at another size; and their fine structure."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

#: BT.601 luma, what JPEG and the tasks that keep the input's luma use.
LUMA = (0.299, 0.587, 0.114)


def planes_of(pixels: NDArray[Any]) -> Tensor:
    """(3, H, W), sharing memory with `pixels` (H, W, 3): to be read only."""
    with warnings.catch_warnings():
        # Pillow's arrays are often read-only; torch warns of that, but nothing here writes.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(pixels).permute(2, 0, 1)


def levels_of(planes: Tensor) -> NDArray[np.uint8]:
    """(H, W, C) of 8 bits, of planes (C, H, W) in [0, 1]."""
    levels: NDArray[np.uint8] = (planes.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().cpu().numpy()
    return levels


def shrunk_planes(pixels: NDArray[Any], longest_side: int | None) -> Tensor:
    """(3, h, w) float32 in [0, 1], no side longer than `longest_side`, of `pixels` (H, W, 3).

    Shrunk before it becomes floats, and 16 bits as 8, which is enough to look at: a large picture costs little.
    """
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    planes = planes_of(pixels)
    height, width = planes.shape[-2:]
    longest = max(height, width)
    if longest_side is not None and longest > longest_side:
        ratio = longest_side / longest
        size = (max(1, round(height * ratio)), max(1, round(width * ratio)))
        planes = F.interpolate(planes[None], size, mode="bilinear", antialias=True, align_corners=False)[0]
    return planes.float().div(255) if planes.dtype == torch.uint8 else planes


def with_square_pixels(planes: Tensor, aspect: float) -> Tensor:
    """`planes` (C, H, W), whose pixels are `aspect` times as wide as high, with square ones, no fewer."""
    height, width = planes.shape[-2:]
    size = (height, round(width * aspect)) if aspect > 1 else (round(height / aspect), width)
    return F.interpolate(planes[None], size, mode="bilinear", antialias=True, align_corners=False)[0]


def resize(faces: Tensor, size: int, *, mode: str = "bilinear", antialias: bool = True) -> Tensor:
    """`faces` (N, C, S, S) at `size` px; antialias: with a filter where they shrink, else as OpenCV does."""
    return faces if faces.shape[-1] == size else F.interpolate(faces, (size, size), mode=mode, antialias=antialias)


def luma(pictures: Tensor) -> Tensor:
    """(..., 1, H, W): BT.601 luma of RGB (..., 3, H, W)."""
    # Made where the pictures are: a constant sent there would stop a recorded step.
    weights = torch.cat([torch.full((1, 1, 1), w, dtype=pictures.dtype, device=pictures.device) for w in LUMA])
    return (pictures * weights).sum(-3, keepdim=True)


def fine_structure(pictures: Tensor, side: int) -> Tensor:
    """The difference of each pixel of `pictures` (B, C, H, W) from the mean of side × side around it, as far as they
    lie in the picture.
    """
    return pictures - near_means(pictures, side)


def near_means(pictures: Tensor, side: int) -> Tensor:
    """The mean of side × side, a few pixels, around each pixel of `pictures` (B, C, H, W), as far as they lie in it."""
    means, reach = pictures, side // 2
    for dim, before in ((-1, (reach, reach)), (-2, (0, 0, reach, reach))):
        # Shifted sums: on a CPU a pooling layer takes several times as long.
        padded, length = F.pad(means, before), means.shape[dim]
        total = padded.narrow(dim, 0, length)
        for start in range(1, side):
            total = total + padded.narrow(dim, start, length)
        position = torch.arange(length, device=pictures.device)
        count = (position + reach).clamp(max=length - 1) - (position - reach).clamp(min=0) + 1
        means = total / (count if dim == -1 else count[:, None])
    return means


def window_means(planes: Tensor, width: int) -> Tensor:
    """(..., h, w): means of the `width`×`width` px around each pixel of `planes` (..., h, w), of those that there are.

    By two products with matrices of bands, so that a wide window costs what a narrow one does.
    """
    rows, columns = (_band(length, width).to(planes) for length in planes.shape[-2:])
    means: Tensor = rows @ planes @ columns.T
    return means


@lru_cache(maxsize=64)  # the faces of a picture are hardly two of a size, and each takes four
def _band(length: int, width: int) -> Tensor:
    """(length, length): rows that average the entries at most width // 2 beside the diagonal."""
    position = torch.arange(length)
    band = ((position[:, None] - position).abs() <= width // 2).float()
    return band / band.sum(1, keepdim=True)
