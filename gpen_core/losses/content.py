"""Distances between a restored picture and its original: on pixels (GPEN's L_C) and on discriminator features (L_F)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ConfigError, InputError

Norm = Literal["l1", "smooth_l1", "l2"]
Reduction = Literal["mean", "sum"]

_DISTANCES: dict[Norm, Callable[..., Tensor]] = {
    "l1": F.l1_loss,
    "smooth_l1": F.smooth_l1_loss,
    "l2": F.mse_loss,
}
_SLIGHTEST = 0.01  # damage, in pictures of [-1, 1]: less counts as this much


def content(result: Tensor, target: Tensor, norm: Norm = "l1", weights: Tensor | None = None) -> Tensor:
    """Scalar mean distance of two batches of pictures of one shape; "l2" is the squared difference, "smooth_l1" turns
    at 1. weights (B,): of the pictures in the mean; None: all alike.
    """
    if result.shape != target.shape:
        raise InputError(f"result is {tuple(result.shape)} and target {tuple(target.shape)}; they must have one shape")
    if norm not in _DISTANCES:
        raise ConfigError(f"norm is {norm!r}; it must be one of {', '.join(get_args(Norm))}")
    distance = _DISTANCES[norm]
    if weights is None:
        return distance(result, target)
    each = distance(result, target, reduction="none").flatten(1).mean(1)
    return (each * weights).sum() / weights.sum()


def coarse_distance(result: Tensor, target: Tensor) -> Tensor:
    """Scalar mean L1 distance of two batches (B, 3, S, S) at a quarter of their side: how features lie and shade, which
    is what a face is known by, without what is drawn on them.
    """
    return content(F.avg_pool2d(result, 4), F.avg_pool2d(target, 4))


def damage_weights(damaged: Tensor, target: Tensor) -> Tensor:
    """(B,): one over how far damage took each picture (B, 3, H, W), in [-1, 1], from its original, which may be larger:
    a distance so weighted is what is left of the damage, and little of a mild one counts as much as of a severe one.
    """
    seen = damaged if damaged.shape == target.shape else F.interpolate(damaged, target.shape[-2:], mode="bilinear")
    return 1 / ((seen - target).abs().flatten(1).mean(1) + _SLIGHTEST)


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
