"""What the detector is to answer at its anchors, the inverse of `gpen_core.faces.anchors`, and how they meet faces."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from gpen_core.faces import duplicates
from gpen_core.faces.anchors import anchors

CENTRE_VARIANCE, SIZE_VARIANCE = 0.1, 0.2

make_anchors = lru_cache(maxsize=32)(anchors)


def encode(boxes: Tensor, landmarks: Tensor, anchor: Tensor) -> tuple[Tensor, Tensor]:
    """Offsets (A, 4) and (A, 10) of boxes (A, 4) and landmarks (A, 5, 2) at `anchor` (A, 3): x, y, side in pixels."""
    centre, side = anchor[:, :2], anchor[:, 2:]
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    extent = (boxes[:, 2:] - boxes[:, :2]).clamp_min(1e-3)
    offsets = torch.cat([(middle - centre) / (CENTRE_VARIANCE * side), torch.log(extent / side) / SIZE_VARIANCE], -1)
    points = (landmarks - centre[:, None]) / (CENTRE_VARIANCE * side[:, None])
    return offsets, points.flatten(1)


def overlaps(boxes: Tensor, anchor: Tensor) -> Tensor:
    """Intersection over union (N, A) of boxes (N, 4) and square anchors (A, 3)."""
    half = anchor[:, 2:] / 2
    return duplicates.overlaps(boxes, torch.cat([anchor[:, :2] - half, anchor[:, :2] + half], -1))
