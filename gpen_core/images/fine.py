"""The fine structure of pictures."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def fine_structure(pictures: Tensor, side: int) -> Tensor:
    """The difference of each pixel of `pictures` (B, C, H, W) from the mean of side × side around it, as far as they
    lie in the picture.
    """
    return pictures - F.avg_pool2d(pictures, side, 1, side // 2, count_include_pad=False)
