"""The 8 bits that the reference keeps between its steps. Functions that end in _ change their argument, as torch's."""

from __future__ import annotations

import torch
from torch import Tensor


def round_(faces: Tensor) -> Tensor:
    """`faces` in [0, 1], each number moved to the nearest of 256 levels."""
    for face in faces:  # one by one: the passes after the first find it in the cache
        face.mul_(255).round_().div_(255)
    return faces


def truncate_(faces: Tensor) -> Tensor:
    """`faces` in [0, 1], each number moved to the next lower of 256 levels; GPEN's results are half a level dark for
    it."""
    # A float that stands for a level may lie an ulp below it.
    for face in faces:
        face.mul_(255).add_(1e-4).floor_().div_(255)
    return faces


def smoothed(face: Tensor) -> Tensor:
    """`face` (..., S, S) filtered by the 3×3 binomial, mirrored at the border without repeating it."""
    # Shifted sums: a grouped convolution takes ten times as long.
    rows = torch.empty_like(face)
    torch.add(face[..., :-2, :], face[..., 2:, :], out=rows[..., 1:-1, :])
    rows[..., 0, :], rows[..., -1, :] = 2 * face[..., 1, :], 2 * face[..., -2, :]
    rows.add_(face, alpha=2)
    both = torch.empty_like(face)
    torch.add(rows[..., :-2], rows[..., 2:], out=both[..., 1:-1])
    both[..., 0], both[..., -1] = 2 * rows[..., 1], 2 * rows[..., -2]
    return both.add_(rows, alpha=2).mul_(1 / 16)
