"""The networks: GPEN, its priors, its discriminator."""

from __future__ import annotations

from .discriminator import Discriminator, Judgement
from .gpen import GPEN, build_prior, config_from_shapes, embed, expected_shapes
from .priors import PRIORS, Prior, StyleGAN2Prior

__all__ = [
    "GPEN",
    "PRIORS",
    "Discriminator",
    "Judgement",
    "Prior",
    "StyleGAN2Prior",
    "build_prior",
    "config_from_shapes",
    "embed",
    "expected_shapes",
]
