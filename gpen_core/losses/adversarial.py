"""What generator and discriminator play for: the logistic loss (Goodfellow et al. 2014, with the generator's
non-saturating form), the hinge, Wasserstein and least-squares losses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..architecture.discriminator import Scores
from ..images.planes import fine_structure

Form = Literal["logistic", "hinge", "wasserstein", "least_squares"]


class AdversarialLoss(NamedTuple):
    """Both sides of one game: of (scores of real pictures, of made ones), and of (scores of made ones)."""

    discriminator: Callable[[Scores, Scores], Tensor]
    generator: Callable[[Scores], Tensor]


def discriminator_logistic(real_score: Scores, fake_score: Scores) -> Tensor:
    """Scalar: mean softplus(-real) + mean softplus(fake), in float32 or better. Scores are unbounded logits."""
    return _mean(real_score, lambda s: F.softplus(-s)) + _mean(fake_score, F.softplus)


def generator_nonsaturating(fake_score: Scores) -> Tensor:
    """Scalar: mean softplus(-fake); its gradient does not fade when the discriminator is sure of itself."""
    return _mean(fake_score, lambda s: F.softplus(-s))


def discriminator_hinge(real_score: Scores, fake_score: Scores) -> Tensor:
    """Scalar: mean max(0, 1 − real) + mean max(0, 1 + fake) (Lim and Ye 2017); what is told apart well enough rests."""
    return _mean(real_score, lambda s: F.relu(1 - s)) + _mean(fake_score, lambda s: F.relu(1 + s))


def generator_hinge(fake_score: Scores) -> Tensor:
    """Scalar: the negative mean score."""
    return -mean_score(fake_score)


def discriminator_wasserstein(real_score: Scores, fake_score: Scores) -> Tensor:
    """Scalar: how much higher made pictures score than real ones (Arjovsky et al. 2017); needs a gradient penalty."""
    return mean_score(fake_score) - mean_score(real_score)


def discriminator_least_squares(real_score: Scores, fake_score: Scores) -> Tensor:
    """Scalar: half the squared distances of real scores from 1 and of made ones from 0 (Mao et al. 2017)."""
    return (_mean(real_score, lambda s: (s - 1).square()) + _mean(fake_score, torch.square)) / 2


def generator_least_squares(fake_score: Scores) -> Tensor:
    """Scalar: the squared distance of made pictures' scores from 1."""
    return _mean(fake_score, lambda s: (s - 1).square())


def mean_score(scores: Scores) -> Tensor:
    """Scalar mean in float32 or better; heads count alike, however many positions they judge."""
    return _mean(scores, lambda s: s)


def mean_square(scores: Scores) -> Tensor:
    """Scalar mean of the squares in float32 or better: what keeps Wasserstein scores from drifting (PGGAN)."""
    return _mean(scores, torch.square)


ADVERSARIAL: dict[Form, AdversarialLoss] = {
    "logistic": AdversarialLoss(discriminator_logistic, generator_nonsaturating),
    "hinge": AdversarialLoss(discriminator_hinge, generator_hinge),
    "wasserstein": AdversarialLoss(discriminator_wasserstein, generator_hinge),
    "least_squares": AdversarialLoss(discriminator_least_squares, generator_least_squares),
}


def emphasise(pictures: Tensor, amount: float) -> Tensor:
    """`pictures` (B, 3, H, W) with their fine structure (of 5×5 pixels) 1 + amount times as strong.

    A convolutional network learns the coarse first (Rahaman et al. 2019), where restored and real pictures hardly
    differ; shown so, a young discriminator tells them apart within tens of steps. It is linear, and nothing is lost.
    """
    if not amount:
        return pictures
    return pictures + amount * fine_structure(pictures, 5)


def _mean(scores: Scores, of: Callable[[Tensor], Tensor]) -> Tensor:
    heads = [scores] if isinstance(scores, Tensor) else list(scores)
    return torch.stack([of(h if h.itemsize >= 4 else h.float()).mean() for h in heads]).mean()
