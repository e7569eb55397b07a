"""Pictures at another size."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def resize(faces: Tensor, size: int, *, mode: str = "bilinear", antialias: bool = True) -> Tensor:
    """`faces` (N, C, S, S) at `size` px; antialias: with a filter where they shrink, else as OpenCV does."""
    return faces if faces.shape[-1] == size else F.interpolate(faces, (size, size), mode=mode, antialias=antialias)
