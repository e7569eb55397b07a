"""The networks: GPEN, its priors, its discriminators, and what it is compared with."""

from __future__ import annotations

from .comparators import COMPARATORS
from .discriminator import Discriminator, Judgement
from .gpen import DECODER, Network, build_prior, config_from_shapes, embed, expected_shapes, prior_config
from .patches import PatchDiscriminator
from .priors import PRIORS, Prior, StyleGAN2Prior

__all__ = [
    "COMPARATORS",
    "DECODER",
    "PRIORS",
    "Discriminator",
    "Judgement",
    "Network",
    "PatchDiscriminator",
    "Prior",
    "StyleGAN2Prior",
    "build_prior",
    "config_from_shapes",
    "embed",
    "expected_shapes",
    "prior_config",
]
