"""Blurred faces, read again where they are small: there they are sharp, like what a detector learned from.

Crops of badly damaged faces lie twice as near to where those of the sound faces lie: off by 8 px of 256 instead of 15.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .duplicates import overlaps
from .warp import crop_faces

#: Boxes, landmarks and scores of each of (B, 3, S, S), in its pixels.
Look = Callable[[Tensor], Sequence[tuple[Tensor, Tensor, Tensor]]]

#: Sides of the face's box, pixels, in which it is read again; around it is as much as it is wide.
_SIDES = (40, 48, 64)
#: A face of fewer pixels is small already.
_LEAST = 64.0
#: Less of what only the larger of these sides can hold, as a share of the contrast, and a face is blurred: of aligned
#: faces of 256 px, all of severe damage and most of medium damage have less, nine of ten sound ones 0.06 and more.
_FINE, _COARSE, _BLURRED = 96, 48, 0.04
#: Boxes that overlap by this (intersection over union) are of the same face.
_SAME = 0.35
_LEFT_AND_RIGHT = [1, 0, 2, 4, 3]


def is_blurred(image: Tensor, box: Tensor) -> bool:
    """Whether the face in `box` (4,) of `image` (3, H, W) in [0, 1] has many pixels, and little in them."""
    if float((box[2:] - box[:2]).amin()) < _LEAST:
        return False
    grey = crop_faces(image, _around(box, _FINE, _FINE), _FINE, "reflect").mean(1, keepdim=True)
    smaller = F.interpolate(grey, (_COARSE, _COARSE), mode="area")
    lost = grey - F.interpolate(smaller, (_FINE, _FINE), mode="bicubic", align_corners=False)
    return float(lost.std()) < _BLURRED * float(grey.std())


def read_smaller(
    look: Look, image: Tensor, box: Tensor, landmarks: Tensor, score: float
) -> tuple[Tensor, Tensor, float]:
    """Box (4,) and landmarks (5, 2), in pixels of `image` (3, H, W), and score of the blurred face that had these: the
    mean of what is seen at several sizes, also mirrored, by how surely it is; and no less sure than all on average.

    Of a box that lies beside a face it gives the face's own.
    """
    seen, weights = [torch.cat([box.view(2, 2), landmarks])], [score]
    for side in _SIDES:
        size = 2 * side
        affine = _around(box, side, size)
        # Black beyond the picture: mirrored at its edge, half a face would be taken for a whole one.
        crop = crop_faces(image, affine, size, "black")
        (scale, _, left), (_, _, top) = affine[0].tolist()
        for found, mirrored in zip(look(torch.cat([crop, crop.flip(-1)])), (False, True), strict=True):
            boxes, points, scores = found
            if mirrored:
                boxes = torch.stack([size - 1 - boxes[:, 2], boxes[:, 1], size - 1 - boxes[:, 0], boxes[:, 3]], 1)
                points = points[:, _LEFT_AND_RIGHT] * points.new_tensor([-1, 1]) + points.new_tensor([size - 1, 0])
            places = (torch.cat([boxes.view(-1, 2, 2), points], 1) - points.new_tensor([left, top])) / scale
            likely = scores * (overlaps(places[:, :2].reshape(-1, 4), box[None])[:, 0] > _SAME)
            weights.append(float(likely.amax()) if len(likely) else 0.0)
            seen.append(places[int(likely.argmax())] if weights[-1] else seen[0])
    weight = torch.tensor(weights)
    mean = (torch.stack(seen) * weight.square()[:, None, None]).sum(0) / weight.square().sum()
    return mean[:2].flatten(), mean[2:], max(score, float(weight[1:].mean()))


def _around(box: Tensor, side: int, size: int) -> Tensor:
    """(1, 2, 3): from the picture to a crop of `size` px in whose middle the longer side of `box` is `side` px."""
    scale = side / float((box[2:] - box[:2]).amax())
    middle = (box[:2] + box[2:]).double() / 2
    offset = (size - 1) / 2 - scale * middle
    affine = torch.eye(2, dtype=torch.float64) * scale
    return torch.cat([affine, offset[:, None]], 1)[None]
