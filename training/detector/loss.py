"""What the detector is trained for: every anchor's class, and box and landmarks where a face is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from .anchors import encode, overlaps

BACKGROUND, FACE, IGNORED = 0, 1, -1


@dataclass(frozen=True, kw_only=True)
class DetectionLoss:
    """Weights and thresholds; an anchor is a face from `face_overlap` on, background below `background_overlap`.

    negatives: background anchors that count per face anchor, the hardest ones; at least `least_negatives` a scene.
    landmark_knee: errors above it count by their size, not their square; in tenths of an anchor's side, so that 0.1 is
    2.5 % of a typical eye distance.
    teacher: share of the teacher's probability in the class target; the rest is the geometry's 0 or 1.
    """

    face_overlap: float = 0.4
    background_overlap: float = 0.3
    negatives: int = 5
    least_negatives: int = 30
    box: float = 2.0
    landmark: float = 1.5
    landmark_knee: float = 0.1
    teacher: float = 0.3


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Per anchor: label (B, A), box offsets (B, A, 4), landmark offsets (B, A, 10)."""

    label: Tensor
    box: Tensor
    landmark: Tensor


def match(scenes: Sequence[tuple[Tensor, Tensor, Tensor]], anchors: Tensor, options: DetectionLoss) -> Targets:
    """Targets of scenes given as (boxes (N, 4), landmarks (N, 5, 2), wanted (N,) bool), pixels.

    Each wanted face takes every anchor above the overlap and, whatever the overlap, its best one. A face that is not
    wanted makes the anchors over it count as neither.
    """
    labels, box_rows, landmark_rows = [], [], []
    for boxes, landmarks, wanted in scenes:
        label = torch.full((len(anchors),), BACKGROUND)
        owner = torch.zeros(len(anchors), dtype=torch.long)
        if len(boxes):
            overlap = overlaps(boxes, anchors)
            best, owner = overlap.max(0)
            label[best >= options.background_overlap] = IGNORED
            label[best >= options.face_overlap] = FACE
            favourite = overlap.argmax(1)
            label[favourite] = FACE
            owner[favourite] = torch.arange(len(boxes))
            unwanted = ~wanted[owner] & (label != BACKGROUND)
            label[unwanted] = IGNORED
            # Small anchors hardly overlap a small face that is to be left alone: spare all whose middle lies in it.
            for x1, y1, x2, y2 in boxes[~wanted].tolist():
                inside = (anchors[:, 0] >= x1) & (anchors[:, 0] <= x2) & (anchors[:, 1] >= y1) & (anchors[:, 1] <= y2)
                label[inside & (label == BACKGROUND)] = IGNORED
            box, landmark = encode(boxes[owner], landmarks[owner], anchors)
        else:
            box, landmark = torch.zeros(len(anchors), 4), torch.zeros(len(anchors), 10)
        labels.append(label)
        box_rows.append(box)
        landmark_rows.append(landmark)
    return Targets(label=torch.stack(labels), box=torch.stack(box_rows), landmark=torch.stack(landmark_rows))


def detection_loss(
    output: tuple[Tensor, Tensor, Tensor], targets: Targets, options: DetectionLoss, teacher: Tensor | None = None
) -> dict[str, Tensor]:
    """`class`, `box` and `landmark` terms, means over the face anchors of the batch, already weighted.

    output: box offsets (B, A, 4), logits (B, A, 2), landmark offsets (B, A, 10). teacher: face probability (B, A).
    """
    box, logits, landmark = output
    face = targets.label == FACE
    count = face.sum().clamp_min(1)
    wish = face.float()
    if teacher is not None:
        wish = (1 - options.teacher) * wish + options.teacher * teacher
    margin = logits[..., 1] - logits[..., 0]
    cost = F.binary_cross_entropy_with_logits(margin, wish, reduction="none")
    with torch.no_grad():
        hardness = cost.masked_fill(targets.label != BACKGROUND, -1)
        quota = (face.sum(1) * options.negatives).clamp_min(options.least_negatives)
        rank = hardness.argsort(1, descending=True).argsort(1)
        counted = face | ((rank < quota[:, None]) & (targets.label == BACKGROUND))
    return {
        "class": cost[counted].sum() / count,
        "box": options.box * F.smooth_l1_loss(box[face], targets.box[face], reduction="sum") / count,
        "landmark": options.landmark
        * F.smooth_l1_loss(landmark[face], targets.landmark[face], reduction="sum", beta=options.landmark_knee)
        / count,
    }
