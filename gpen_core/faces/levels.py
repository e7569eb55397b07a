"""The 8 bits that the reference keeps between its steps."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def rounded(faces: Tensor) -> Tensor:
    """`faces` in [0, 1] at the nearest of 256 levels."""
    return (faces * 255).round_().div_(255)


def truncated(faces: Tensor) -> Tensor:
    """`faces` clipped to [0, 1], at the next lower of 256 levels; GPEN's outputs are half a level dark for it."""
    # A float that stands for a level may lie an ulp below it.
    return (faces.clamp(0, 1) * 255 + 1e-4).floor_().div_(255)


def smoothed(faces: Tensor) -> Tensor:
    """`faces` (N, 3, S, S) filtered by the 3×3 binomial, mirrored at the border."""
    taps = torch.tensor([0.25, 0.5, 0.25], dtype=faces.dtype, device=faces.device)
    kernel = torch.outer(taps, taps).expand(faces.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(faces, (1, 1, 1, 1), mode="reflect"), kernel, groups=faces.shape[1])
