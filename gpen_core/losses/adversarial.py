"""The logistic GAN loss (Goodfellow et al. 2014, with the generator's non-saturating form)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def discriminator_logistic(real_score: Tensor, fake_score: Tensor) -> Tensor:
    """Scalar: mean softplus(-real) + mean softplus(fake), in float32 or better. Scores are unbounded logits."""
    return F.softplus(-_at_least_float32(real_score)).mean() + F.softplus(_at_least_float32(fake_score)).mean()


def generator_nonsaturating(fake_score: Tensor) -> Tensor:
    """Scalar: mean softplus(-fake); its gradient does not fade when the discriminator is sure of itself."""
    return F.softplus(-_at_least_float32(fake_score)).mean()


def _at_least_float32(score: Tensor) -> Tensor:
    return score if score.itemsize >= 4 else score.float()
