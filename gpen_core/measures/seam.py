"""How visible the edge is along which a face was put back."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..faces.colour import luma

#: The band that counts as the mask's edge.
_EDGE = (0.25, 0.75)
#: Gradients are averaged with their sign over patches of this fraction of the mask before they count: a seam runs on
#: along the edge, what the picture shows there does not.
_PATCH = 1 / 12


def seam(picture: Tensor, mask: Tensor) -> float:
    """Gradient of `picture` (3, h, w) across the edge of `mask` (h, w), over that just inside the edge.

    Across: along the mask's own slope, averaged along short stretches of the edge. Just inside: the same in the band
    next to the edge, as wide. About 1 where nothing shows; NaN where the mask has no edge or no inside.
    """
    edge = (mask > _EDGE[0]) & (mask < _EDGE[1])
    length = float(_slope(mask).sum())
    if length == 0:
        return float("nan")
    # The mask rises by one across its edge, so the sum of its slope is the edge's length, in pixels.
    width = max(1, round(float(edge.sum()) / length))
    inside = F.max_pool2d(edge.float()[None, None], 4 * width + 1, 1, 2 * width)[0, 0].bool() & (mask > _EDGE[1])
    inward_x, inward_y = torch.gradient(_blurred(mask, 4 * width + 1), dim=(1, 0))
    norm = torch.hypot(inward_x, inward_y)
    known = norm > 1e-6
    edge, inside = edge & known, inside & known
    if not (bool(edge.any()) and bool(inside.any())):
        return float("nan")
    picture_x, picture_y = torch.gradient(luma(picture)[0], dim=(1, 0))
    across = (picture_x * inward_x + picture_y * inward_y) / norm.clamp_min(1e-12)
    patch = max(3, round(min(mask.shape) * _PATCH) // 2 * 2 + 1)
    return _coherent(across, edge, patch) / max(_coherent(across, inside, patch), 1e-6)


def _coherent(values: Tensor, where: Tensor, patch: int) -> float:
    """Mean size of the patchwise signed means of `values` (h, w) in a band."""
    band = where.float()
    total, count = (F.avg_pool2d(plane[None, None], patch, 1, patch // 2)[0, 0] for plane in (values * band, band))
    return float((total / count.clamp_min(1e-12)).abs()[where].mean())


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
