"""The 8 bits that the reference keeps between its steps. Functions that end in _ change their argument, as torch's."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def round_(faces: Tensor) -> Tensor:
    """`faces` in [0, 1], each number moved to the nearest of 256 levels."""
    return faces.mul_(255).round_().div_(255)


def truncate_(faces: Tensor) -> Tensor:
    """`faces` in [0, 1], each number moved to the next lower of 256 levels; GPEN's results are half a level dark for
    it."""
    # A float that stands for a level may lie an ulp below it.
    return faces.mul_(255).add_(1e-4).floor_().div_(255)


def smoothed(faces: Tensor) -> Tensor:
    """`faces` (..., S, S) filtered by the 3×3 binomial, mirrored at the border."""
    # Shifted sums: a grouped convolution takes ten times as long.
    padded = F.pad(faces, (1, 1, 1, 1), mode="reflect")
    rows = (padded[..., :-2, :] + padded[..., 2:, :]).add_(padded[..., 1:-1, :], alpha=2)
    return (rows[..., :-2] + rows[..., 2:]).add_(rows[..., 1:-1], alpha=2).mul_(1 / 16)
