"""The stages of training: which networks, which parameter groups, how a picture is made, and its loss."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ..architecture import DECODER, Discriminator, PatchDiscriminator, Prior, build_prior
from ..architecture.generator import GeneratorPart
from ..data import Batch
from ..errors import TrainingError
from ..images.planes import fine_structure, resize
from ..losses import (
    ADVERSARIAL,
    ProjectedDiscriminator,
    content,
    damage_weights,
    emphasise,
    feature_matching,
)
from ..weights import GPEN
from .loss_recipe import LossRecipe
from .network_recipe import GrowthRecipe
from .recipe import Recipe

Augment = Callable[[Tensor], Tensor]
PairLoss = Callable[[Tensor, Tensor], Tensor]
"""Scalar of (result, original), both (B, 3, S, S) in [-1, 1]."""
Judge = Discriminator | ProjectedDiscriminator | PatchDiscriminator


class Stage(ABC):
    """A generator, its discriminator, and what one wants of the other."""

    paired = False
    """Whether a result has an original to be compared with."""

    @property
    def repeats(self) -> bool:
        """Whether a step launches the same as the one before, inside of `settled`: nothing is drawn."""
        return False

    def settled(self) -> AbstractContextManager[None]:
        """Inside, nothing that the generator does depends on a tensor's value."""
        return nullcontext()

    def __init__(self, generator: nn.Module, discriminator: Judge, losses: LossRecipe) -> None:
        self.generator, self.discriminator, self.losses = generator, discriminator, losses
        self.game = ADVERSARIAL[losses.form]

    def begin_step(self, images: int) -> None:  # noqa: B027 - most stages stay as they are
        """Before each step: what changes with the images seen."""

    def targets(self, clean: Tensor) -> Tensor:
        """Real pictures (B, 3, S, S) as this step is to make them."""
        return clean

    def shown(self, pictures: Tensor, batch: Batch) -> Tensor:
        """`pictures` (B, 3, S, S) as the discriminator sees them: where it is conditional, beside what they are of."""
        pictures = emphasise(pictures, self.losses.emphasis)
        return (
            torch.cat([pictures, resize(batch.damaged, pictures.shape[-1], mode="nearest", antialias=False)], 1)
            if self.losses.conditional
            else pictures
        )

    @abstractmethod
    def groups(self) -> dict[str, list[nn.Parameter]]:
        """The generator's parameters by the name of their learning rate: every one of them, once."""

    @abstractmethod
    def pictures(self, batch: Batch, source: Generator, *, network: nn.Module | None = None) -> Tensor:
        """Generated pictures (B, 3, S, S) for a batch; source: of every random number. network: instead of the
        generator (its average).
        """

    @abstractmethod
    def traced(self, batch: Batch, source: Generator) -> tuple[Tensor, Tensor]:
        """Pictures and the style latents (B, latents, D) that they depend on, for the path length."""

    def loss(
        self, fake: Tensor, batch: Batch, *, adversarial: bool, matching: bool, augment: Augment | None
    ) -> dict[str, Tensor]:
        """The weighted terms of the generator's loss; their sum is minimised."""
        return {
            "adversarial": self.losses.adversarial
            * self.game.generator(self.discriminator(self.shown(augment(fake) if augment else fake, batch)))
        }

    def penalties(self, batch: Batch) -> dict[str, Tensor]:
        """Weighted terms of the generator's loss that do not look at its pictures: none."""
        return {}


class PriorStage(Stage):
    """Stage 1: the prior alone, from Gaussian codes and Gaussian features. Raises ConfigError for a loss that asks of
    the prior what it cannot do.
    """

    generator: Prior

    def __init__(
        self, generator: Prior, discriminator: Judge, losses: LossRecipe, growth: GrowthRecipe | None = None
    ) -> None:
        super().__init__(generator, discriminator, losses)
        self._growth, self._hidden = growth or GrowthRecipe(), 0.0
        if losses.mixing:
            generator.require("mix styles")
        if self._growth.from_size:
            generator.require("fade in")
        _check_path_length(generator, losses)

    def begin_step(self, images: int) -> None:
        """Shows as many resolutions as have been grown by then."""
        if self._growth.from_size:
            self._hidden = self._growth.hidden(images, self.generator.config.out_size)
            self.generator.hide(self._hidden)

    def targets(self, clean: Tensor) -> Tensor:
        """As coarse as the prior's pictures are at this step."""
        return coarsened(clean, self._hidden)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """All at the decoder's rate."""
        return {"decoder": list(self.generator.parameters())}

    def pictures(self, batch: Batch, source: Generator, *, network: nn.Module | None = None) -> Tensor:
        """Samples, with style mixing where drawn."""
        prior = self.generator if network is None else cast(Prior, network)
        losses = self.losses
        return prior.draw(
            batch.clean, generator=source, mixing=losses.mixing, independent_noise=losses.independent_noise
        )

    def traced(self, batch: Batch, source: Generator) -> tuple[Tensor, Tensor]:
        """Samples without mixing."""
        like, prior = batch.clean, self.generator
        latents = prior.style_latents(prior.draw_codes(like, source))
        noise = prior.draw_noise_like(like, source, independent=self.losses.independent_noise)
        return prior.render(latents, noise), latents


def coarsened(pictures: Tensor, hidden: float) -> Tensor:
    """`pictures` (B, 3, S, S) without their `hidden` finest resolutions, of which a fraction stays in part."""
    if not hidden:
        return pictures
    whole = int(hidden)
    fine = F.avg_pool2d(pictures, 2**whole)
    if hidden > whole:
        coarse = F.interpolate(F.avg_pool2d(fine, 2), scale_factor=2.0, mode="nearest")
        fine = torch.lerp(fine, coarse, hidden - whole)
    return F.interpolate(fine, size=pictures.shape[-2:], mode="nearest")


def _check_path_length(prior: GeneratorPart, losses: LossRecipe) -> None:
    if losses.path_length:
        prior.require("have its path length measured")


class FinetuneStage(Stage):
    """Stage 3: the whole network on damaged and clean pairs (GPEN §3.2); extra: further losses of (result, original),
    by name.
    """

    paired = True
    generator: GPEN

    def __init__(
        self,
        generator: GPEN,
        discriminator: Judge,
        losses: LossRecipe,
        extra: Mapping[str, tuple[float, PairLoss]] | None = None,
    ) -> None:
        super().__init__(generator, discriminator, losses)
        _check_path_length(generator.generator, losses)
        if losses.latent_norm:
            generator.generator.require("have the norm of its latents measured")
        self._extra = dict(extra or {})

    @property
    def repeats(self) -> bool:
        """Unless the resolutions above its input's take noise, which is drawn."""
        return self.generator.config.out_size == self.generator.config.in_size

    def settled(self) -> AbstractContextManager[None]:
        """The decoder's."""
        return self.generator.generator.settled()

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """`encoder`: ecd* and final_linear; `decoder`: everything under `generator.`, but for what is frozen there."""
        trained = [(n, p) for n, p in self.generator.named_parameters() if p.requires_grad]
        groups = {
            "encoder": [p for n, p in trained if not n.startswith(DECODER)],
            "decoder": [p for n, p in trained if n.startswith(DECODER)],
        }
        return {name: parameters for name, parameters in groups.items() if parameters}

    def pictures(self, batch: Batch, source: Generator, *, network: nn.Module | None = None) -> Tensor:
        """Restored pictures; nothing is random."""
        result: Tensor = (network or self.generator)(self._given(batch.damaged))
        return self._centred(result)

    def traced(self, batch: Batch, source: Generator) -> tuple[Tensor, Tensor]:
        """Restored pictures and their style latents."""
        network = self.generator
        prior = network.prior
        code, features = network.encode(self._given(batch.damaged))
        latents = prior.style_latents(code)
        given = {r: (f,) * prior.feature_inputs[r] for r, f in features.items()}
        if network.config.out_size > network.config.in_size:
            given.update(network.drawn_features(code.device))
        return self._centred(prior.render(latents, given)), latents

    def loss(
        self, fake: Tensor, batch: Batch, *, adversarial: bool, matching: bool, augment: Augment | None
    ) -> dict[str, Tensor]:
        """L_A + α L_C + β L_F, and the extras. Augmented pictures meet the adversarial loss only, never the pairs."""
        weights, terms = self.losses, {}
        if weights.content:
            by = damage_weights(batch.damaged, batch.clean) if weights.content_relative else None
            terms["content"] = weights.content * content(fake, batch.clean, weights.content_norm, by)
        if weights.fine:
            distance = content(fine_structure(fake, 5), fine_structure(batch.clean, 5), weights.content_norm)
            terms["fine"] = weights.fine * distance
        if adversarial:
            terms |= self._judged(fake, batch, matching=matching and weights.feature_matching > 0, augment=augment)
        for name, (weight, loss) in self._extra.items():
            terms[name] = weight * loss(fake, batch.clean)
        if not terms:
            raise TrainingError("no loss has a weight above 0; set losses.content or losses.adversarial")
        return terms

    def penalties(self, batch: Batch) -> dict[str, Tensor]:
        """How far the latents are from their mean, where that is weighed (pSp)."""
        weight = self.losses.latent_norm
        if not weight:
            return {}
        return {"latent_norm": weight * self.generator.generator.latent_norm(self._given(batch.damaged))}

    def _judged(self, fake: Tensor, batch: Batch, *, matching: bool, augment: Augment | None) -> dict[str, Tensor]:
        """The terms that the discriminator has a part in."""
        weights, terms = self.losses, {}
        seen = self.discriminator.features(self.shown(fake, batch)) if matching else None
        if weights.adversarial:
            scores = (
                seen.scores
                if seen is not None and augment is None
                else self.discriminator(self.shown(augment(fake) if augment else fake, batch))
            )
            terms["adversarial"] = weights.adversarial * self.game.generator(scores)
        if seen is not None:
            with torch.no_grad():
                wanted = self.discriminator.features(self.shown(batch.clean, batch)).features
            distance = feature_matching(seen.features, wanted, weights.feature_norm, weights.feature_reduction)
            terms["feature_matching"] = weights.feature_matching * distance
        return terms

    def _given(self, damaged: Tensor) -> Tensor:
        """`damaged`, in [-1, 1], at the network's size and in its range; the regions of a map are not mixed."""
        size, card = self.generator.config.in_size, self.generator.card
        if damaged.shape[-1] != size:
            mode = "nearest-exact" if card.task == "segmentation" else "area"
            damaged = F.interpolate(damaged, (size, size), mode=mode)
        low, high = card.value_range
        return damaged if (low, high) == (-1, 1) else (damaged + 1) * (high - low) / 2 + low

    def _centred(self, result: Tensor) -> Tensor:
        """The network's `result` in [-1, 1], where discriminator and losses look at it."""
        low, high = self.generator.card.value_range
        return result if (low, high) == (-1, 1) else (result - low) * 2 / (high - low) - 1


def build_stage(
    recipe: Recipe,
    device: torch.device,
    extra: Mapping[str, tuple[float, PairLoss]] | None = None,
    *,
    discriminator: Judge | None = None,
) -> Stage:
    """The stage with networks drawn from the recipe's seed. discriminator: instead of the paper's.

    Raises TrainingError for a stage that has no training ("embed"), ConfigError for one that asks of a prior what it
    cannot do.
    """
    config, source = recipe.network.config, torch.Generator().manual_seed(recipe.seed)
    judge = discriminator or _discriminator(recipe, source).to(device)
    if recipe.stage == "prior":
        return PriorStage(build_prior(config, generator=source).to(device), judge, recipe.losses, recipe.growth)
    if recipe.stage == "finetune":
        generator = GPEN(config, recipe.card(), generator=source).to(device)
        return FinetuneStage(generator, judge, recipe.losses, extra)
    raise TrainingError(f"stage {recipe.stage!r} trains nothing; it copies a prior into a new GPEN")


def _discriminator(recipe: Recipe, source: Generator) -> Judge:
    if recipe.losses.discriminator == "patches":
        inputs = 6 if recipe.losses.conditional else 3
        return PatchDiscriminator(recipe.network.config, inputs=inputs, generator=source)
    return Discriminator(recipe.network.config, generator=source)
