"""A picture's pixels as planes: without a copy, or shrunk."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor


def planes_of(pixels: NDArray[Any]) -> Tensor:
    """(3, H, W), sharing memory with `pixels` (H, W, 3): to be read only."""
    with warnings.catch_warnings():
        # Pillow's arrays are often read-only; torch warns of that, but nothing here writes.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(pixels).permute(2, 0, 1)


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
