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


def lost_share(originals: Tensor, damaged: Tensor) -> Tensor:
    """(B,) in [0, 1]: how much of the fine structure of `originals` (B, 3, H, W) is gone in `damaged` (B, 3, h, w).

    It is (1 - r)², r being the correlation of the two pictures' differences from their mean of 5×5 pixels: 0 for an
    untouched picture, near 1 where blur or noise has left nothing of it.
    """
    if damaged.shape[-2:] != originals.shape[-2:]:
        damaged = F.interpolate(damaged, originals.shape[-2:], mode="bilinear", align_corners=False)
    ours, theirs = fine_structure(originals, 5).flatten(1), fine_structure(damaged, 5).flatten(1)
    return (1 - F.cosine_similarity(ours, theirs, dim=1).clamp(0, 1)).square()


def fine_structure(pictures: Tensor, side: int) -> Tensor:
    """The difference of each pixel of `pictures` (B, C, H, W) from the mean of side × side around it, as far as they
    lie in the picture.
    """
    return pictures - F.avg_pool2d(pictures, side, 1, side // 2, count_include_pad=False)


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
