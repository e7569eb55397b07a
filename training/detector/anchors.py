"""Anchors of the small RetinaFace, and boxes and landmarks in their terms.

The middle of the first anchor is pixel (4, 4), as in every published RetinaFace: one decoder then serves all their
weights.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

STRIDES = (8, 16, 32)
SIZES = ((16, 32), (64, 128), (256, 512))
CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2


@lru_cache(maxsize=32)
def make_anchors(height: int, width: int) -> Tensor:
    """Anchors (A, 3) as centre x, centre y, side, in pixels, in the order of the network's output."""
    rows = []
    for stride, sizes in zip(STRIDES, SIZES, strict=True):
        y = (torch.arange(math.ceil(height / stride)) + 0.5) * stride
        x = (torch.arange(math.ceil(width / stride)) + 0.5) * stride
        centres = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).flip(-1)
        level = [torch.cat([centres, torch.full_like(centres[..., :1], side)], -1) for side in sizes]
        rows.append(torch.stack(level, 2).reshape(-1, 3))
    return torch.cat(rows)


def decode(offsets: Tensor, landmark_offsets: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (A, 4) as x1, y1, x2, y2 and landmarks (A, 5, 2), pixels, of offsets (A, 4) and (A, 10)."""
    centre, side = anchors[:, :2], anchors[:, 2:]
    middle = centre + offsets[:, :2] * CENTRE_VARIANCE * side
    half = side * torch.exp(offsets[:, 2:] * SIZE_VARIANCE) / 2
    points = centre[:, None] + landmark_offsets.view(-1, 5, 2) * CENTRE_VARIANCE * side[:, None]
    return torch.cat([middle - half, middle + half], -1), points


def encode(boxes: Tensor, landmarks: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
    """Offsets (A, 4) and (A, 10) of boxes (A, 4) and landmarks (A, 5, 2): what `decode` undoes."""
    centre, side = anchors[:, :2], anchors[:, 2:]
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    extent = (boxes[:, 2:] - boxes[:, :2]).clamp_min(1e-3)
    offsets = torch.cat([(middle - centre) / (CENTRE_VARIANCE * side), torch.log(extent / side) / SIZE_VARIANCE], -1)
    points = (landmarks - centre[:, None]) / (CENTRE_VARIANCE * side[:, None])
    return offsets, points.flatten(1)


def overlaps(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Intersection over union (N, A) of boxes (N, 4) and square anchors (A, 3)."""
    half = anchors[:, 2:] / 2
    squares = torch.cat([anchors[:, :2] - half, anchors[:, :2] + half], -1)
    low = torch.maximum(boxes[:, None, :2], squares[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], squares[None, :, 2:])
    shared = (high - low).clamp_min(0).prod(-1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    return shared / (area[:, None] + (anchors[:, 2] ** 2)[None] - shared)
