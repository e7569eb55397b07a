"""The same face found more than once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

#: A box this much inside another is the same face.
_CONTAINED = 0.85


def distinct(boxes: Tensor, scores: Tensor, overlap: float) -> list[tuple[int, float]]:
    """Indices and scores of the faces (boxes (K, 4), scores (K,)) that are left when duplicates are out, best first.

    A duplicate overlaps a better face by more than `overlap` (intersection over union), or one of the two lies nearly
    all in the other. Among scores within a fiftieth the larger box is the better: a part of a face is more easily
    taken for a face than the other way round. A face has the best score among its duplicates.
    """
    box, score = boxes.double().cpu().numpy(), scores.double().cpu().numpy()
    area = (box[:, 2:] - box[:, :2]).prod(1)
    left = np.lexsort((-area, -np.round(score * 50)))
    kept: list[tuple[int, float]] = []
    while len(left):
        best = int(left[0])
        common = np.minimum(box[left, 2:], box[best, 2:]) - np.maximum(box[left, :2], box[best, :2])
        common = common.clip(min=0).prod(1)
        same = common > overlap * (area[left] + area[best] - common)
        same |= common > _CONTAINED * np.minimum(area[left], area[best])
        same[0] = True
        kept.append((best, float(score[left[same]].max())))
        left = left[~same]
    return sorted(kept, key=lambda face: -face[1])


def overlaps(boxes: Tensor, others: Tensor) -> Tensor:
    """(N, M): intersection over union of boxes (N, 4) with others (M, 4)."""
    corners = torch.maximum(boxes[:, None, :2], others[:, :2]), torch.minimum(boxes[:, None, 2:], others[:, 2:])
    common = (corners[1] - corners[0]).clamp(min=0).prod(2)
    area, theirs = ((part[:, 2:] - part[:, :2]).prod(1) for part in (boxes, others))
    return common / (area[:, None] + theirs - common)


def strongest(boxes: Tensor, scores: Tensor, overlap: float) -> Tensor:
    """(M,) indices of the boxes (K, 4) that overlap none of a higher score (K,) by more than `overlap` (intersection
    over union), best first: non-maximum suppression."""
    order = scores.argsort(descending=True, stable=True)
    boxes, kept = boxes[order], []
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    while len(order):
        kept.append(order[0])
        low, high = torch.maximum(boxes[:, :2], boxes[0, :2]), torch.minimum(boxes[:, 2:], boxes[0, 2:])
        common = (high - low).clamp(min=0).prod(1)
        apart = common <= overlap * (area + area[0] - common)
        apart[0] = False
        order, boxes, area = order[apart], boxes[apart], area[apart]
    return torch.stack(kept) if kept else order
