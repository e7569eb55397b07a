"""Pictures at another size."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def resize(faces: Tensor, size: int) -> Tensor:
    """`faces` (N, C, S, S) at `size` px, bilinear with a filter against aliasing."""
    if faces.shape[-1] == size:
        return faces
    return F.interpolate(faces, (size, size), mode="bilinear", antialias=True, align_corners=False)
