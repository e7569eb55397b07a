"""How visible the edge is along which a face was put back."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .colour import luma

#: A band of the mask's edge, and where the inside begins.
_EDGE = (0.1, 0.9)


def seam(picture: Tensor, mask: Tensor) -> float:
    """Mean gradient of `picture` (3, h, w) across the edge of `mask` (h, w), over that just inside the edge.

    Across: along the mask's own slope. Just inside: as wide a band as the edge, in the same direction. About 1 where
    nothing shows; NaN where the mask has no edge or no inside.
    """
    plane = luma(picture)[0]
    edge = (mask > _EDGE[0]) & (mask < _EDGE[1])
    steepness = _slope(mask)
    length = float(steepness.sum())
    if length == 0:
        return float("nan")
    # The mask rises by one across its edge, so the sum of its slope is the edge's length, in pixels.
    width = max(1, round(float(edge.sum()) / length))
    inside = F.max_pool2d(edge.float()[None, None], 2 * width + 1, 1, width)[0, 0].bool() & (mask >= _EDGE[1])
    blurred = _blurred(mask, 2 * width + 1)
    across_x, across_y = torch.gradient(blurred, dim=(1, 0))
    norm = torch.hypot(across_x, across_y)
    picture_x, picture_y = torch.gradient(plane, dim=(1, 0))
    across = (picture_x * across_x + picture_y * across_y).abs() / norm.clamp_min(1e-12)
    known = norm > 1e-6
    edge, inside = edge & known, inside & known
    if not (bool(edge.any()) and bool(inside.any())):
        return float("nan")
    return float(across[edge].mean() / across[inside].mean().clamp_min(1e-6))


def _slope(mask: Tensor) -> Tensor:
    if min(mask.shape) < 2:
        return torch.zeros_like(mask)
    x, y = torch.gradient(mask, dim=(1, 0))
    return torch.hypot(x, y)


def _blurred(mask: Tensor, width: int) -> Tensor:
    """Twice averaged over `width` px, so that it slopes all through the band inside."""
    padding = width // 2
    planes = mask[None, None]
    for _ in range(2):
        planes = F.avg_pool2d(planes, width, 1, padding, count_include_pad=False)
    return planes[0, 0]
