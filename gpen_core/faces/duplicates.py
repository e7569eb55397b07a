"""The same face found more than once."""

from __future__ import annotations

import torch
from torch import Tensor

#: A box this much inside another is the same face.
_CONTAINED = 0.85


def distinct(boxes: Tensor, scores: Tensor, overlap: float) -> list[int]:
    """Indices of the faces (boxes (K, 4), scores (K,)) that are left when duplicates are out, best score first.

    A duplicate overlaps a better face by more than `overlap` (intersection over union), or one of the two lies nearly
    all in the other. Among scores within a fiftieth the larger box is the better: a part of a face is more easily
    taken for a face than the other way round.
    """
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    ranks = sorted(range(len(boxes)), key=lambda i: (-round(float(scores[i]) * 50), -float(area[i])))
    kept: list[int] = []
    for i in ranks:
        others = boxes[kept]
        low, high = torch.maximum(others[:, :2], boxes[i, :2]), torch.minimum(others[:, 2:], boxes[i, 2:])
        common = (high - low).clamp(min=0).prod(1)
        same = common > overlap * (area[kept] + area[i] - common)
        same |= common > _CONTAINED * torch.minimum(area[kept], area[i])
        if not bool(same.any()):
            kept.append(i)
    return sorted(kept, key=lambda i: -float(scores[i]))


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
