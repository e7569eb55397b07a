"""Damage to a picture's surface: lost colour, scratches, bands, and the white strokes that mark what to inpaint."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..images.planes import luma

_SEPIA = (1.07, 0.95, 0.75)


def grey(pictures: Tensor) -> Tensor:
    """Luma (Rec. 601) in all three channels of (…, 3, H, W)."""
    return luma(pictures).expand_as(pictures)


def sepia(pictures: Tensor) -> Tensor:
    """The luma, toned brown as faded prints are."""
    return (grey(pictures) * pictures.new_tensor(_SEPIA)[:, None, None]).clamp(0, 1)


def band(pictures: Tensor, levels: int) -> Tensor:
    """`pictures` in [0, 1] with this many levels a channel."""
    return (pictures * (levels - 1)).round() / (levels - 1)


def draw_lines(picture: Tensor, lines: Sequence[Sequence[float]]) -> Tensor:
    """`picture` (3, S, S) under segments (x0, y0, x1, y1, width, brightness), lengths as fractions of the side."""
    size = picture.shape[-1]
    centre = (torch.arange(size, device=picture.device) + 0.5) / size
    y, x = torch.meshgrid(centre, centre, indexing="ij")
    for x0, y0, x1, y1, width, brightness in lines:
        dx, dy = x1 - x0, y1 - y0
        along = (((x - x0) * dx + (y - y0) * dy) / max(dx * dx + dy * dy, 1e-12)).clamp(0, 1)
        distance = torch.hypot(x - x0 - along * dx, y - y0 - along * dy)
        cover = (0.5 + (width / 2 - distance) * size).clamp(0, 1)
        picture = picture + (brightness - picture) * cover
    return picture


def draw_boxes(picture: Tensor, boxes: Sequence[Sequence[float]]) -> Tensor:
    """`picture` (3, S, S) with the rectangles (x0, y0, x1, y1), fractions of the side, painted white."""
    size = picture.shape[-1]
    picture = picture.clone()
    for box in boxes:
        x0, y0, x1, y1 = (round(v * size) for v in box)
        picture[:, y0:y1, x0:x1] = 1
    return picture
