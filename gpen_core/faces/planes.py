"""A picture's pixels as planes, without a copy."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def planes_of(pixels: NDArray[Any]) -> Tensor:
    """(3, H, W), sharing memory with `pixels` (H, W, 3): to be read only."""
    with warnings.catch_warnings():
        # Pillow's arrays are often read-only; torch warns of that, but nothing here writes.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(pixels).permute(2, 0, 1)
