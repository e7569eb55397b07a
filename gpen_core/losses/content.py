"""Distances between a restored picture and its original: on pixels (GPEN's L_C) and on discriminator features (L_F)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ConfigError, InputError

Norm = Literal["l1", "smooth_l1", "l2"]
Reduction = Literal["mean", "sum"]


def content(result: Tensor, target: Tensor, norm: Norm = "l1") -> Tensor:
    """Scalar mean distance of two pictures of one shape; "l2" is the squared difference, "smooth_l1" turns at 1."""
    if result.shape != target.shape:
        raise InputError(f"result is {tuple(result.shape)} and target {tuple(target.shape)}; they must have one shape")
    if norm == "l1":
        return F.l1_loss(result, target)
    if norm == "smooth_l1":
        return F.smooth_l1_loss(result, target)
    if norm == "l2":
        return F.mse_loss(result, target)
    raise ConfigError(f"norm is {norm!r}; it must be one of {', '.join(get_args(Norm))}")


def texture(result: Tensor, target: Tensor, *, scales: int = 1, window: int = 8) -> Tensor:
    """Scalar: mean difference of how strong fine structure is around each pixel, summed over `scales` (each half size).

    result, target: (B, C, H, W). What stands out of its 3×3 surroundings is fine structure; its strength is the root
    mean square over channels and a window of `window` px. Where it lies is left to the content loss, which alone would
    rather show none than show it in the wrong place; coarser scales invite hard contours. A patchwise texture loss
    (Sajjadi et al., "EnhanceNet", 2017) with a fixed band-pass in the place of a trained network. Raises InputError for
    pictures smaller than a window.
    """
    least = window * 2 ** (scales - 1)
    if min(result.shape[-2:]) < least:
        raise InputError(f"texture compares windows at {scales} scales; pictures of at least {least} px are needed")

    def strength(x: Tensor) -> Tensor:
        fine = x - F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        power = F.avg_pool2d(fine.square().mean(1, keepdim=True), window, stride=window // 2)
        return torch.sqrt(power + 1e-8)

    total = result.new_zeros(())
    for scale in range(scales):
        if scale:
            result, target = F.avg_pool2d(result, 2), F.avg_pool2d(target, 2)
        total = total + content(strength(result), strength(target).detach())
    return total


def feature_matching(
    fake: Sequence[Tensor], real: Sequence[Tensor], norm: Norm = "l1", reduction: Reduction = "sum"
) -> Tensor:
    """Scalar: the mean distance of each discriminator block's features, summed (or averaged) over blocks; GPEN's L_F.

    The real features are constants here: no gradient reaches them.
    """
    if len(fake) != len(real) or not fake:
        raise InputError(f"{len(fake)} blocks of fake features and {len(real)} of real ones; both need the same blocks")
    if reduction not in get_args(Reduction):
        raise ConfigError(f"reduction is {reduction!r}; it must be one of {', '.join(get_args(Reduction))}")
    precise = torch.promote_types(fake[0].dtype, torch.float32)
    distances = torch.stack([content(f, r.detach(), norm).to(precise) for f, r in zip(fake, real, strict=True)])
    return distances.sum() if reduction == "sum" else distances.mean()
