"""The colour of a restored face against what it replaces."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .mask import blur_matrix

#: Colour fields are smooth: this many samples a side carry them.
_FIELD = 64
#: Contrast is matched no further than this, either way: beyond it the crops show different things.
_CONTRAST = 1.25


def match_surroundings(restored: Tensor, crop: Tensor, mask: Tensor) -> Tensor:
    """`restored` (N, 3, S, S) plus a smooth field that makes it agree with `crop` (N, 3, S, S) where the mask
    (N, S, S) falls off; inside, the field is what the edge's disagreement spreads to.

    A normalised convolution (Knutsson & Westin 1993) at 64 px in place of a membrane (Pérez et al. 2003), which it is
    close to for fields this smooth.
    """
    size = min(_FIELD, restored.shape[-1])
    small = [F.interpolate(x, (size, size), mode="area") for x in (crop - restored, mask[:, None])]
    difference, weight = small[0], small[1]
    edge = 4 * weight * (1 - weight) + 1e-6
    # Two widths: near the edge the local disagreement counts, far from it the mean of the ring.
    field = torch.zeros_like(difference)
    total = torch.zeros_like(edge)
    for sigma, share in ((size / 24, 1.0), (size / 8, 0.05), (size / 2, 0.001)):
        blur = blur_matrix(size, sigma).to(field)
        field += share * (blur @ (edge * difference) @ blur.T)
        total += share * (blur @ edge @ blur.T)
    smooth = F.interpolate(field / total, restored.shape[-2:], mode="bilinear", align_corners=False)
    return restored + smooth


def match_crop(restored: Tensor, crop: Tensor, mask: Tensor) -> Tensor:
    """`restored` (N, 3, S, S) with the mean and, within a quarter, the contrast that each channel of `crop` has under
    the mask (N, S, S)."""
    weight = mask[:, None] / mask.sum((-2, -1))[:, None, None, None].clamp_min(1e-6)
    mean, target = ((weight * x).sum((-2, -1), keepdim=True) for x in (restored, crop))
    spread = (weight * (restored - mean).square()).sum((-2, -1), keepdim=True).sqrt()
    wanted = (weight * (crop - target).square()).sum((-2, -1), keepdim=True).sqrt()
    gain = (wanted / spread.clamp_min(1e-4)).clamp(1 / _CONTRAST, _CONTRAST)
    return (restored - mean) * gain + target


def are_grey(crops: Tensor) -> Tensor:
    """(N,) booleans: which of (N, 3, S, S) in [0, 1] hold no colour, that is channels within a hundredth of one
    another in 99 % of the pixels."""
    spread = crops.amax(1) - crops.amin(1)
    return (spread <= 0.01).float().mean((-2, -1)) >= 0.99
