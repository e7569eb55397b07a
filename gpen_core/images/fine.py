"""The fine structure of pictures."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def fine_structure(pictures: Tensor, side: int) -> Tensor:
    """The difference of each pixel of `pictures` (B, C, H, W) from the mean of side × side around it, as far as they
    lie in the picture.
    """
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
    return pictures - means
