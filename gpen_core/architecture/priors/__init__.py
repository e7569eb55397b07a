"""The GAN priors that can be embedded. A new one is one file and one line here."""

from __future__ import annotations

from .base import Features, Prior, Shapes
from .biggan import BigGANPrior
from .pggan import PGGANPrior
from .stylegan import StyleGANPrior
from .stylegan2 import StyleGAN2Prior

PRIORS: dict[str, type[Prior]] = {
    "stylegan2": StyleGAN2Prior,
    "stylegan": StyleGANPrior,
    "pggan": PGGANPrior,
    "biggan": BigGANPrior,
}

__all__ = ["PRIORS", "Features", "Prior", "Shapes", "StyleGAN2Prior"]
