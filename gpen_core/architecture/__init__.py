"""The networks: GPEN, its priors, its discriminator."""

from __future__ import annotations

from .discriminator import Discriminator, Judgement
from .gpen import DECODER, Network, build_prior, config_from_shapes, embed, expected_shapes, prior_config
from .priors import PRIORS, Prior, StyleGAN2Prior

__all__ = [
    "DECODER",
    "PRIORS",
    "Discriminator",
    "Judgement",
    "Network",
    "Prior",
    "StyleGAN2Prior",
    "build_prior",
    "config_from_shapes",
    "embed",
    "expected_shapes",
    "prior_config",
]
