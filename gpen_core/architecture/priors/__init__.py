"""The GAN priors that can be embedded. A new one is one file and one line here."""

from __future__ import annotations

from .base import Features, Prior, Shapes
from .stylegan2 import StyleGAN2Prior

PRIORS: dict[str, type[Prior]] = {
    "stylegan2": StyleGAN2Prior,
}

__all__ = ["PRIORS", "Features", "Prior", "Shapes", "StyleGAN2Prior"]
