"""SEGS, the Impact Pack's wire: regions of one picture, each with a box and a mask of its crop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..gpen_core.errors import FaceError, InputError
from ..gpen_core.faces.types import Detection
from .boxes import Box


class Segment(NamedTuple):
    """One region, with the field names and the order that packs which use SEGS read and `_replace`.

    cropped_image: (1, h, w, 3) float RGB or None. cropped_mask: (h, w) float array of the crop region.
    crop_region, bbox: x1, y1, x2, y2 in pixels.
    """

    cropped_image: Any
    cropped_mask: Any
    confidence: float
    crop_region: list[int]
    bbox: Any
    label: str
    control_net_wrapper: Any = None


Segments = tuple[tuple[int, int], list[Segment]]


def check_segs(segs: Any, height: int, width: int) -> Sequence[Any]:
    """The regions of `segs`. Raises InputError when they were made for a picture of another size, or are no SEGS."""
    try:
        (segs_height, segs_width), regions = segs
        segs_height, segs_width = int(segs_height), int(segs_width)
    except (TypeError, ValueError) as error:
        raise InputError("SEGS must be ((height, width), [regions])") from error
    if (segs_height, segs_width) != (height, width):
        raise InputError(
            f"these SEGS are of a picture of {segs_width}×{segs_height} pixels, the image has {width}×{height}; "
            "make the SEGS from this image"
        )
    if not isinstance(regions, Sequence) or any(not hasattr(region, "bbox") for region in regions):
        raise InputError("SEGS must be ((height, width), [regions]), each region with a bbox")
    return regions


def boxes_of(regions: Sequence[Any]) -> list[tuple[Box, float]]:
    """The regions' boxes (x1, y1, x2, y2) with their confidences."""
    boxes = []
    for region in regions:
        x1, y1, x2, y2 = _four(region, "bbox")
        if not (x2 > x1 and y2 > y1):
            raise FaceError(f"a region of the SEGS has the box ({x1:g}, {y1:g}, {x2:g}, {y2:g}), which is empty")
        (confidence,) = (1.0,) if region.confidence is None else _numbers(region, "confidence", 1)
        boxes.append(((x1, y1, x2, y2), confidence))
    return boxes


def _four(region: Any, name: str) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = _numbers(region, name, 4)
    return x1, y1, x2, y2


def _numbers(region: Any, name: str, count: int) -> list[float]:
    """The first `count` numbers of a region's field. Raises FaceError for fewer, and for what is not finite."""
    value = getattr(region, name, None)
    try:
        numbers = [float(v) for v in torch.as_tensor(value).flatten()[:count]]
    except (TypeError, ValueError, RuntimeError):
        numbers = []
    if len(numbers) < count or not all(map(math.isfinite, numbers)):
        raise FaceError(f"{name} of a region of the SEGS must be {count} finite number(s), got {value!r}")
    return numbers


def mask_of(regions: Sequence[Any], height: int, width: int) -> Tensor:
    """The union of the regions' masks, (height, width) float32 in [0, 1]. A region without a mask counts as its crop.

    Raises InputError for a mask of another size than its crop region, or with NaN; FaceError for a region that is none.
    """
    union = torch.zeros(height, width)
    for region in regions:
        x1, y1, x2, y2 = (int(v) for v in _four(region, "crop_region"))
        target = union[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)]
        if getattr(region, "cropped_mask", None) is None:
            target.fill_(1.0)
            continue
        mask = torch.as_tensor(region.cropped_mask).float().squeeze()
        if tuple(mask.shape) != (y2 - y1, x2 - x1):
            raise InputError(
                f"a region of the SEGS has a mask of {tuple(mask.shape)} for a crop of {(y2 - y1, x2 - x1)} (h, w)"
            )
        if bool(mask.isnan().any()):
            raise InputError("a region of the SEGS has a mask that holds NaN: the node before it went wrong")
        mask = mask[max(-y1, 0) :, max(-x1, 0) :][: target.shape[0], : target.shape[1]]
        target.copy_(torch.maximum(target, mask))
    return union


def segs_of(
    picture: Tensor,
    faces: Sequence[Detection],
    masks: Sequence[Tensor],
    *,
    crop_factor: float,
) -> Segments:
    """SEGS of these faces in `picture` (3, H, W).

    masks: of the whole picture (H, W); what of them lies beside the crop is cut off. crop_factor: side of the crop over
    side of the box.
    """
    height, width = picture.shape[-2:]
    regions = []
    for face, mask in zip(faces, masks, strict=True):
        x1, y1, x2, y2 = (float(v) for v in face.box)
        region = _crop_region((x1, y1, x2, y2), crop_factor, height, width)
        left, top, right, bottom = region
        regions.append(
            Segment(
                cropped_image=picture[:, top:bottom, left:right].movedim(0, -1)[None].clone(),
                cropped_mask=mask[top:bottom, left:right].cpu().float().numpy().copy(),
                confidence=float(face.score),
                crop_region=region,
                bbox=[x1, y1, x2, y2],
                label="face",
            )
        )
    return (height, width), regions


def box_mask(face: Detection, height: int, width: int, *, dilation: int = 0) -> Tensor:
    """(height, width): 1 in the face's box, which grows by `dilation` pixels on every side (shrinks, if negative)."""
    mask = torch.zeros(height, width)
    left, top = (max(round(float(v)) - dilation, 0) for v in face.box[:2])
    right, bottom = (max(round(float(v)) + dilation, 0) for v in face.box[2:])
    mask[top:bottom, left:right] = 1.0
    return mask


def _crop_region(box: Box, factor: float, height: int, width: int) -> list[int]:
    x1, y1, x2, y2 = box
    half_width, half_height = (x2 - x1) * factor / 2, (y2 - y1) * factor / 2
    centre_x, centre_y = (x1 + x2) / 2, (y1 + y2) / 2
    left, top = max(0, round(centre_x - half_width)), max(0, round(centre_y - half_height))
    right, bottom = min(width, round(centre_x + half_width)), min(height, round(centre_y + half_height))
    return [min(left, width - 1), min(top, height - 1), max(right, left + 1), max(bottom, top + 1)]
