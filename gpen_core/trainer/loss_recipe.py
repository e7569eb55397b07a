"""What a recipe says of the losses: their weights, forms and shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import ConfigError
from ..losses import Form, Norm, Reduction
from .fields import at_least


@dataclass(frozen=True, kw_only=True)
class LossRecipe:
    """Weights of the losses (0: left out) and the two lazy regularisers with their intervals in steps.

    adversarial_from: images that must have been seen before the discriminator starts; until then content alone trains.
    content_relative: whether a picture's content counts by how little was damaged (`losses.damage_weights`), so that
    mild damage keeps its PSNR; False as in the paper.
    fine: weight of the content distance between the fine structures (of 5×5 pixels) alone; 0 as in the paper.
    emphasis: how much stronger the discriminator is shown the fine structure of all pictures (`losses.emphasise`); 0 as
    in the paper.
    form: of the adversarial loss, logistic as in the paper, hinge (BigGAN), wasserstein (PGGAN) or least_squares.
    gradient_penalty, drift: of WGAN-GP, at every step: on the slope between real and made pictures, and on the square
    of real scores.
    discriminator: stylegan2 as in the paper, or projected: heads over the frozen network of `[backbone]`, which see at
    once what another has to learn; r1 and feature_matching must then be 0 (`perceptual` compares features); or patches:
    Pix2PixHD's, at two sizes, with which r1 must be 0.
    conditional: whether the discriminator sees the damaged face beside the restored one (pix2pix).
    latent_norm: on how far a network's latents are from their mean (pSp).
    identity: on how far a result is from its original to a network that knows faces (`--identity`).
    texture: weight of how differently result and original are textured to the frozen network of `[backbone]`
    (`losses.texture_distance`); texture_power: of each picture's distance, above 1 for less where little is lacking.
    likeness: on how little the lines of a result are the original's, however faint (`losses.likeness_distance`).
    coarse: of the content at a quarter of the side (`losses.coarse_distance`), which keeps faces who they are.
    adversarial_share, identity_share, perceptual_share, texture_share, likeness_share, coarse_share: that term's
    gradient at the picture is given this many times the length of the content's, whatever its weight; 0: its weight
    decides.
    path_shrink: the path-length batch is this many times smaller. mixing: probability of style mixing in the prior.
    independent_noise: whether the two inputs of a block of the prior get noise of their own.
    """

    adversarial: float = 1.0
    content: float = 1.0
    content_norm: Norm = "l1"
    content_relative: bool = False
    feature_matching: float = 0.02
    feature_norm: Norm = "l1"
    feature_reduction: Reduction = "sum"
    identity: float = 0.0
    identity_share: float = 0.0
    perceptual: float = 0.0
    texture: float = 0.0
    texture_power: float = 1.0
    adversarial_from: int = 0
    fine: float = 0.0
    emphasis: float = 0.0
    form: Form = "logistic"
    discriminator: Literal["stylegan2", "projected", "patches"] = "stylegan2"
    conditional: bool = False
    latent_norm: float = 0.0
    adversarial_share: float = 0.0
    perceptual_share: float = 0.0
    texture_share: float = 0.0
    likeness: float = 0.0
    likeness_share: float = 0.0
    coarse: float = 0.0
    coarse_share: float = 0.0
    gradient_penalty: float = 0.0
    drift: float = 0.0
    r1: float = 10.0
    r1_every: int = 16
    path_length: float = 2.0
    path_every: int = 4
    path_shrink: int = 2
    path_decay: float = 0.01
    mixing: float = 0.9
    independent_noise: bool = False

    def __post_init__(self) -> None:
        at_least(
            self,
            0,
            "adversarial",
            "content",
            "feature_matching",
            "identity",
            "perceptual",
            "texture",
            "texture_power",
            "fine",
            "emphasis",
            "adversarial_share",
            "identity_share",
            "perceptual_share",
            "texture_share",
            "likeness",
            "likeness_share",
            "coarse",
            "coarse_share",
            "gradient_penalty",
            "drift",
            "latent_norm",
            "r1",
            "path_length",
            "mixing",
        )
        at_least(self, 1, "r1_every", "path_every", "path_shrink")
        if self.discriminator == "projected":
            given = [name for name in ("r1", "feature_matching", "gradient_penalty", "drift") if getattr(self, name)]
            if given:
                raise ConfigError(f"a projected discriminator takes no {' and no '.join(given)}; set them to 0")
        if self.discriminator == "patches" and (self.r1 or self.gradient_penalty):
            raise ConfigError("a discriminator of patches takes no r1 and no gradient_penalty; set them to 0")
        if self.conditional and self.discriminator != "patches":
            raise ConfigError(f"conditional is for a discriminator of patches, and this is {self.discriminator}")
        for term, share in self.shares.items():
            if share and not (getattr(self, term) and (self.content or self.fine)):
                raise ConfigError(
                    f"{term}_share is a share of the content's gradient; {term} and content must be above 0"
                )

    @property
    def r1_interval(self) -> int | None:
        """Steps between those with R1; None without it."""
        return self.r1_every if self.r1 else None

    @property
    def path_interval(self) -> int | None:
        """Steps between those with the path length; None without it."""
        return self.path_every if self.path_length else None

    @property
    def shares(self) -> dict[str, float]:
        """The lengths that terms' gradients are given beside the content's, by term; 0: its weight decides."""
        terms = ("adversarial", "identity", "perceptual", "texture", "likeness", "coarse")
        return {term: getattr(self, f"{term}_share") for term in terms}
