"""Multiband blending (Burt & Adelson, "A Multiresolution Spline With Application to Image Mosaics", 1983)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

#: The coarsest band has at least this many pixels a side.
_SMALLEST = 8
_MOST_BANDS = 5
#: Coarse bands reach beyond the mask; they fade out where its share falls below one in this many.
_FADE = 8.0


def laplacian_change(before: Tensor, face: Tensor, share: Tensor) -> Tensor:
    """(3, h, w): what to add to `before` (3, h, w) so that `face` (3, h, w) takes its place where `share` (h, w) says,
    each band of frequencies over a transition as wide as its own wavelength; zero where the share is."""
    difference, weight = (face - before)[None], share[None, None]
    bands: list[tuple[Tensor, Tensor]] = []
    while min(difference.shape[-2:]) >= 2 * _SMALLEST and len(bands) < _MOST_BANDS:
        coarser = F.avg_pool2d(difference, 2, ceil_mode=True, count_include_pad=False)
        bands.append((difference - _at(coarser, difference), weight))
        difference, weight = coarser, F.avg_pool2d(weight, 2, ceil_mode=True, count_include_pad=False)
    change = difference * weight
    for band, its_weight in reversed(bands):
        change = _at(change, band) + band * its_weight
    return change[0] * (share * _FADE).clamp(max=1)


def _at(coarser: Tensor, finer: Tensor) -> Tensor:
    return F.interpolate(coarser, finer.shape[-2:], mode="bilinear", align_corners=False)
