"""Pictures at another size."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def resize(faces: Tensor, size: int, *, antialias: bool = True) -> Tensor:
    """`faces` (N, C, S, S) at `size` px, bilinear; antialias: with a filter where they shrink, else as OpenCV does."""
    if faces.shape[-1] == size:
        return faces
    return F.interpolate(faces, (size, size), mode="bilinear", antialias=antialias, align_corners=False)
