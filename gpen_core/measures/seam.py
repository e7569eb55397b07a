"""How visible the edge is along which a face was put back."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..images.planes import luma, window_means

#: Larger faces are looked at in this many pixels a side: what this costs depends on it alone.
LONGEST_SIDE = 96
#: The band that counts as the mask's edge.
_EDGE = (0.25, 0.75)
#: Gradients are averaged with their sign over patches of this fraction of the mask before they count: a seam runs on
#: along the edge, what the picture shows there does not.
_PATCH = 1 / 12


def seam(picture: Tensor, mask: Tensor) -> float:
    """Gradient of `picture` (3, h, w) across the edge of `mask` (H, W), over that just inside the edge.

    Where the picture has been shrunk (see `LONGEST_SIDE`), the mask is shrunk to it. Across: along the mask's own
    slope, averaged along short stretches of the edge. Just inside: the same in the band next to the edge, as wide.
    About 1 where nothing shows; NaN where the mask has no edge or no inside.
    """
    if mask.shape != picture.shape[-2:]:
        mask = F.interpolate(mask[None, None], picture.shape[-2:], mode="bilinear", antialias=True)[0, 0]
    edge = (mask > _EDGE[0]) & (mask < _EDGE[1])
    length = float(_slope(mask).sum())
    if length == 0:
        return float("nan")
    # The mask rises by one across its edge, so the sum of its slope is the edge's length, in pixels.
    width = max(1, round(float(edge.sum()) / length))
    near, smooth = window_means(torch.stack([edge.float(), mask]), 4 * width + 1)
    # Averaged twice, the mask slopes all through the band inside.
    inward_x, inward_y = _gradients(window_means(smooth, 4 * width + 1))
    norm = torch.hypot(inward_x, inward_y)
    bands = torch.stack([edge, (near > 1e-7) & (mask > _EDGE[1])]) & (norm > 1e-6)
    if not bool(bands.flatten(1).any(1).all()):
        return float("nan")
    picture_x, picture_y = _gradients(luma(picture)[0])
    across = (picture_x * inward_x + picture_y * inward_y) / norm.clamp_min(1e-12)
    patch = max(3, round(min(mask.shape) * _PATCH) // 2 * 2 + 1)
    within = bands.float()
    signed, share = window_means(torch.stack([across * within, within]), patch)
    coherent = (signed / share.clamp_min(1e-9)).abs()
    on_edge, inside = ((coherent * within).sum((1, 2)) / within.sum((1, 2))).tolist()
    return float(on_edge / max(inside, 1e-6))


def _slope(mask: Tensor) -> Tensor:
    if min(mask.shape) < 2:
        return torch.zeros_like(mask)
    return torch.hypot(*_gradients(mask))


def _gradients(plane: Tensor) -> tuple[Tensor, Tensor]:
    """What `torch.gradient` makes of a plane (h, w), across and down, in a third of the time."""
    across, down = plane[:, 1:] - plane[:, :-1], plane[1:] - plane[:-1]
    x = torch.cat([across[:, :1], (across[:, 1:] + across[:, :-1]) / 2, across[:, -1:]], 1)
    return x, torch.cat([down[:1], (down[1:] + down[:-1]) / 2, down[-1:]])
