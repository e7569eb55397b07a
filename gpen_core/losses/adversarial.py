"""The logistic GAN loss (Goodfellow et al. 2014, with the generator's non-saturating form), and what is looked at."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from ..images.fine import fine_structure


def discriminator_logistic(real_score: Tensor, fake_score: Tensor) -> Tensor:
    """Scalar: mean softplus(-real) + mean softplus(fake), in float32 or better. Scores are unbounded logits."""
    return F.softplus(-_at_least_float32(real_score)).mean() + F.softplus(_at_least_float32(fake_score)).mean()


def generator_nonsaturating(fake_score: Tensor) -> Tensor:
    """Scalar: mean softplus(-fake); its gradient does not fade when the discriminator is sure of itself."""
    return F.softplus(-_at_least_float32(fake_score)).mean()


def emphasise(pictures: Tensor, amount: float) -> Tensor:
    """`pictures` (B, 3, H, W) with their fine structure (of 5×5 pixels) 1 + amount times as strong.

    A convolutional network learns the coarse first (Rahaman et al. 2019), where restored and real pictures hardly
    differ; shown so, a young discriminator tells them apart within tens of steps. It is linear, and nothing is lost.
    """
    if not amount:
        return pictures
    return pictures + amount * fine_structure(pictures, 5)


def _at_least_float32(score: Tensor) -> Tensor:
    return score if score.itemsize >= 4 else score.float()
