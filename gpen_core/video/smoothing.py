"""Landmarks, crops and masks smoothed along a face's track, without lag: the frames after count as those before."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import InputError
from ..film_options import Smoothing
from ..images.planes import LUMA, window_means

#: Motion is looked for in luma at this size: noise averages out there, and what moved a pixel of the crop does not.
MOTION_SIZE = 64
#: Side of the window, at that size, over which differences between frames are averaged.
_MOTION_WINDOW = 5
#: A difference that noise does not explain lowers a frame's share by e at half of what noise does explain, ...
_TOLERANCE = 0.5
#: ... and by at least this (squared luma, of 1), so that 8-bit rounding is not taken for motion.
_LEAST_NOISE = (1 / 255) ** 2


def smooth_landmarks(times: Tensor, landmarks: Tensor, time: float, spacing: float, smoothing: Smoothing) -> Tensor:
    """(5, 2) float32: where the landmarks are at `time`, by a parabola through the track around it.

    times: (T,) seconds, any spacing; landmarks: (T, 5, 2), pixels; both of one track, within reach of `time`.
    spacing: mean seconds between frames. A face that moves evenly, or speeds up evenly, is met without lag (local
    polynomial regression, Cleveland 1979); fewer than five frames, or frames on one side only, give a line.
    """
    if len(times) != len(landmarks) or not len(times):
        raise InputError(
            f"{len(times)} times came with {len(landmarks)} sets of landmarks; expected as many, at least 1"
        )
    offset = (times.double() - time) / spacing
    weights = torch.exp(-0.5 * (offset / smoothing.landmarks).square())
    around = min(int((offset < -1e-6).sum()), int((offset > 1e-6).sum()))
    degree = min(len(times) - 1, 2 if around >= 2 else 1)
    powers = torch.stack([offset**k for k in range(degree + 1)], 1)
    root = weights.sqrt()[:, None]
    fitted: Tensor = torch.linalg.lstsq(root * powers, root * landmarks.double().flatten(1)).solution
    return fitted[0].view(5, 2).float()


def motion_view(crops: Tensor) -> Tensor:
    """(N, 64, 64) luma of restored crops (N, 3, S, S), which `blend` compares to find what moved."""
    weights = crops.new_tensor(LUMA)
    luma = torch.einsum("nchw,c->nhw", crops, weights)
    if luma.shape[-1] > MOTION_SIZE:
        return F.interpolate(luma[:, None], (MOTION_SIZE, MOTION_SIZE), mode="area")[:, 0]
    return luma


def blend(crops: Sequence[Tensor], views: Sequence[Tensor], at: int, smoothing: Smoothing) -> Tensor:
    """(3, S, S): crop `at` of consecutive restored crops of one face, averaged with its neighbours.

    crops: (3, S, S) each; views: their `motion_view`. Noise is told from motion by second differences: noise of
    variance v makes first ones of 2v and second ones of 6v, while what moves evenly adds to the first only. A frame
    takes part in each place in so far as noise explains how it differs there.
    """
    if len(crops) == 1:
        return crops[0]
    stack = torch.stack(list(views))
    noise = _noise(stack, at)
    offsets = (torch.arange(len(stack), dtype=stack.dtype) - at) / smoothing.crops
    excess = (window_means((stack - stack[at]).square(), _MOTION_WINDOW) - noise).clamp_min(0) / (
        _TOLERANCE * (noise + _LEAST_NOISE)
    )
    shares = torch.exp(-0.5 * offsets.square()[:, None, None] - excess)
    shares[at] = 1
    shares /= shares.sum(0)
    result = crops[at].clone()
    size = (result.shape[-2], result.shape[-1])
    parts = F.interpolate(shares[:, None], size, mode="bilinear", align_corners=False)
    for k, crop in enumerate(crops):
        if k != at:
            result.addcmul_(parts[k], crop - crops[at])
    return result


def _noise(stack: Tensor, at: int) -> Tensor:
    """(H, W): mean square of what noise alone makes the difference of two frames of `stack` (T, H, W), at frame
    `at`."""
    if len(stack) < 3:
        # Two frames tell nothing of their noise: the quieter half of the picture does.
        difference = window_means((stack[1] - stack[0]).square(), _MOTION_WINDOW)
        return difference.median().expand_as(difference)
    middle = min(max(at, 1), len(stack) - 2)
    second = stack[middle - 1] - 2 * stack[middle] + stack[middle + 1]
    return window_means(second.square(), _MOTION_WINDOW) / 3


def mean_mask(masks: Sequence[Tensor], at: int, smoothing: Smoothing) -> Tensor:
    """(M, M): mask `at` of consecutive masks of one face, averaged with its neighbours in crop space."""
    offsets = torch.arange(len(masks), dtype=torch.float32) - at
    weights = torch.exp(-0.5 * (offsets / smoothing.crops).square())
    return torch.einsum("tij,t->ij", torch.stack(list(masks)), (weights / weights.sum()).to(masks[0]))
