"""What is compared: changes to `prior.toml` and `finetune.toml`, which all variants share otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

ADDED = {"network.concat": False}
PGGAN = {"network.prior": "pggan"}
STYLEGAN = {"network.prior": "stylegan"}
BIGGAN = {"network.prior": "biggan", "network.style_dim": 120, "network.options.attention": [32]}

PRIORS: dict[str, dict[str, Any]] = {
    "stylegan2": {},
    "stylegan2-added": ADDED,
    "stylegan": {**STYLEGAN, "losses.r1_every": 1, "rates.decoder": 1e-3, "rates.discriminator": 1e-3},
    "pggan": {
        **PGGAN,
        "losses.form": "wasserstein",
        "losses.gradient_penalty": 10.0,
        "losses.drift": 1e-3,
        "losses.r1": 0.0,
        "losses.mixing": 0.0,
        "rates.decoder": 1e-3,
        "rates.discriminator": 1e-3,
    },
    "biggan": {
        **BIGGAN,
        "losses.form": "hinge",
        "losses.mixing": 0.0,
        "rates.decoder": 2e-4,
        "rates.discriminator": 8e-4,
    },
}
"""Each with its own loss; none grows, so that all see full-sized faces from the first image on."""


@dataclass(frozen=True)
class Variant:
    """A row. prior: of `PRIORS`, trained first; judged: whether its discriminator goes on."""

    name: str
    prior: str | None = None
    judged: bool = True
    changes: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Of its runs, without the seed."""
        return self.name.replace(" ", "-").replace("'", "").replace(",", "")


# The published rates and weights: what the paper trains with for much longer.
PUBLISHED = {
    "rates.encoder": 2e-3,
    "rates.decoder": 2e-4,
    "rates.discriminator": 2e-5,
    "losses.adversarial": 1.0,
    "losses.content": 1.0,
    "losses.feature_matching": 0.02,
    "losses.r1": 10.0,
}
PATCHES = {
    "losses.discriminator": "patches",
    "losses.conditional": True,
    "losses.r1": 0.0,
    "losses.mixing": 0.0,
    "rates.decoder": 2e-4,
    "rates.discriminator": 2e-4,
    "rates.fresh_discriminator": 2e-4,
    "rates.beta1": 0.5,
}

VARIANTS = (
    Variant("GPEN", "stylegan2"),
    Variant("GPEN, the paper's rates", "stylegan2", changes=PUBLISHED),
    Variant("without prior"),
    # The decoder stays as it was; the encoder alone learns.
    Variant("frozen prior", "stylegan2", changes={"rates.decoder": 0.0}),
    Variant("added features", "stylegan2-added", changes=ADDED),
    Variant("without noise inputs", "stylegan2", changes={"network.options.features": False}),
    # Inversion by an encoder: one code into a prior that is not trained on.
    Variant("without fine-tuning", "stylegan2", changes={"network.options.features": False, "rates.decoder": 0.0}),
    Variant("StyleGAN v1", "stylegan", changes=STYLEGAN),
    Variant("PGGAN", "pggan", changes=PGGAN),
    Variant("BigGAN", "biggan", changes=BIGGAN),
    Variant("U-Net, L1", changes={"network.prior": "unet", "losses.adversarial": 0.0, "losses.feature_matching": 0.0}),
    Variant(
        "U-Net, conditional GAN",
        changes={
            **PATCHES,
            "network.prior": "unet",
            "losses.adversarial": 1.0,
            "losses.content": 100.0,
            "losses.feature_matching": 0.0,
        },
    ),
    # Its perceptual loss is left out: no VGG whose weights are free is at hand. L1 stands in its place.
    Variant(
        "Pix2PixHD",
        changes={
            **PATCHES,
            "network.prior": "pix2pixhd",
            "network.options.blocks": 9,
            "losses.form": "least_squares",
            "losses.adversarial": 2.0,
            "losses.content": 10.0,
            "losses.feature_matching": 5.0,
        },
    ),
    # Without LPIPS and identity, for the same reason.
    Variant(
        "pSp",
        "stylegan2-added",
        judged=False,
        changes={
            "network.prior": "psp",
            "losses.adversarial": 0.0,
            "losses.feature_matching": 0.0,
            "losses.content_norm": "l2",
            "losses.latent_norm": 0.005,
            "rates.decoder": 1e-4,
            "rates.beta1": 0.9,
        },
    ),
)
