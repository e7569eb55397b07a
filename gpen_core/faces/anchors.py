"""RetinaFace's anchors, and its outputs as boxes and landmarks (Deng et al., CVPR 2020; Liu et al., SSD, ECCV 2016)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

#: Stride of each feature map, and the sides of its two square anchors, pixels.
LEVELS = ((8, (16, 32)), (16, (64, 128)), (32, (256, 512)))
_CENTRE_VARIANCE, _SIZE_VARIANCE = 0.1, 0.2
#: Exponents beyond it would overflow; no face is e^4 times its anchor.
_LARGEST_LOG = 4.0


def anchors(height: int, width: int) -> Tensor:
    """(A, 3) float32: x, y of the centre and side of every anchor of a picture, pixels, in the network's order: by
    level, row, column, side."""
    blocks = []
    for stride, sides in LEVELS:
        rows, columns = math.ceil(height / stride), math.ceil(width / stride)
        y = (torch.arange(rows) + 0.5) * stride
        x = (torch.arange(columns) + 0.5) * stride
        block = torch.empty(rows, columns, len(sides), 3)
        block[..., 0] = x[None, :, None]
        block[..., 1] = y[:, None, None]
        block[..., 2] = torch.tensor(sides, dtype=torch.float32)
        blocks.append(block.view(-1, 3))
    return torch.cat(blocks)


def decode_boxes(offsets: Tensor, anchor: Tensor) -> Tensor:
    """(K, 4) x1, y1, x2, y2 in pixels, of the box head's outputs (K, 4) at `anchor` (K, 3)."""
    centre = anchor[:, :2] + offsets[:, :2] * _CENTRE_VARIANCE * anchor[:, 2:]
    half = anchor[:, 2:] * torch.exp((offsets[:, 2:] * _SIZE_VARIANCE).clamp(max=_LARGEST_LOG)) / 2
    return torch.cat([centre - half, centre + half], 1)


def decode_landmarks(offsets: Tensor, anchor: Tensor) -> Tensor:
    """(K, 5, 2) in pixels, of the landmark head's outputs (K, 10) at `anchor` (K, 3)."""
    return anchor[:, None, :2] + offsets.view(-1, 5, 2) * _CENTRE_VARIANCE * anchor[:, None, 2:]
