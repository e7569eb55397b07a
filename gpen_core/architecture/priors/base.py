"""What a GAN prior must offer to be embedded as GPEN's decoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from ...config import GPENConfig
from ...errors import InputError
from ..folded import FoldedModule
from ..generator import Ability, Features, GeneratorPart, Shapes


class Prior(GeneratorPart):
    """A generator whose noise inputs can be fed by an encoder's features.

    A new prior is one file and one line in `PRIORS`: the encoder is built from this table, and a file of weights is
    recognised by it. `generator` draws the initial parameters. They stand
    under `generator.` in a GPEN, with the names of that prior's usual weights.
    """

    stored_noise: Features | None = None
    """The noise that a file keeps beside the weights, where it does (see `settle`)."""

    def __init__(self, config: GPENConfig, *, generator: Generator | None = None) -> None:
        super().__init__(config)

    @property
    def prior_name(self) -> str | None:
        """Its own."""
        return self.name

    @property
    @abstractmethod
    def feature_inputs(self) -> Mapping[int, int]:
        """How many inputs at each resolution take a feature (0: none)."""

    @abstractmethod
    def forward(self, latent: Tensor, features: Features) -> Tensor:
        """Pictures (B, 3, S, S) from `latent` (B, latent_dim) and `feature_inputs[r]` features for each resolution r.

        A feature is (B or 1, channels[r], r, r).
        """

    def prepared(self, dtype: torch.dtype) -> FoldedModule | None:
        """This prior's inference form computing in `dtype`, called with (latent float32, features, workspace).

        None: it has none, and `PreparedGPEN` runs the prior as it is (and says so: its `form` is "plain decoder").
        """
        return None

    @classmethod
    @abstractmethod
    def recognise(cls, shapes: Shapes) -> dict[str, Any] | None:
        """The fields of `GPENConfig` (all but in_size) that such tensors belong to; None: not this prior."""

    def adapted(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As they are, unless the prior says otherwise."""
        return dict(state)

    def settle(self, state: Mapping[str, Tensor]) -> None:
        """Takes from a file's tensors what sampling wants beside the weights, for which `adapted` is there."""

    def sample(
        self,
        z: Tensor,
        *,
        truncation: float = 1.0,
        truncated_layers: int | None = None,
        classes: Sequence[int] | None = None,
        noise: Features | None = None,
        generator: Generator | None = None,
    ) -> Tensor:
        """Pictures (B, 3, S, S) of the prior alone from Gaussian codes `z` (B, latent_dim).

        truncation: how far the latents of the first `truncated_layers` (None: of all) stay from their mean.
        classes: one for each code, of a prior that has several; None: the first.
        noise: as `draw_noise` gives it; None: the file's own where it keeps some, else drawn from `generator`.
        Raises InputError for codes of another length, ConfigError for what this prior cannot do.
        """
        if truncation != 1 or truncated_layers is not None:
            self.require("truncate")
        if classes is not None:
            self.require("choose classes")
        self.check_codes(z)
        return self.sampled(z, self.noise_for(z, noise, generator), truncation, truncated_layers, classes)

    def sampled(
        self, z: Tensor, noise: Features, truncation: float, layers: int | None, classes: Sequence[int] | None
    ) -> Tensor:
        """Pictures for `sample`, which asks for nothing that this prior cannot do."""
        pictures: Tensor = self(z, noise)
        return pictures

    def check_codes(self, z: Tensor) -> None:
        """Raises InputError unless `z` is (B, latent_dim)."""
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise InputError(f"the prior takes codes (B, {self.latent_dim}), got the shape {tuple(z.shape)}")

    def noise_for(self, z: Tensor, noise: Features | None, generator: Generator | None) -> Features:
        """`noise`, else the stored, else drawn; on the device of `z`."""
        noise = noise if noise is not None else self.stored_noise
        if noise is None:
            return self.draw_noise(len(z), generator=generator, device=z.device)
        return {r: tuple(plane.to(z.device) for plane in planes) for r, planes in noise.items()}

    def hide(self, resolutions: float) -> None:
        """Leaves so many of the largest resolutions out of the pictures; a fraction of one fades it in.

        Raises ConfigError where it cannot.
        """
        raise self.refusal("fade in")

    def draw(
        self, like: Tensor, *, generator: Generator, mixing: float = 0.0, independent_noise: bool = False
    ) -> Tensor:
        """As many pictures as `like` (B, …) has, on its device, of codes and noise drawn from `generator`: for stage 1.

        mixing: the probability of style mixing; independent_noise: see `draw_noise`.
        """
        if mixing:
            self.require("mix styles")
        z = self.draw_codes(like, generator)
        pictures: Tensor = self(z, self.draw_noise_like(like, generator, independent=independent_noise))
        return pictures

    def draw_codes(self, like: Tensor, generator: Generator) -> Tensor:
        """Gaussian codes (B, latent_dim), as many as `like` (B, …) has, on its device and in its type."""
        return torch.randn(len(like), self.latent_dim, generator=generator, device=like.device, dtype=like.dtype)

    def draw_noise_like(
        self, like: Tensor, generator: Generator, *, independent: bool
    ) -> dict[int, tuple[Tensor, ...]]:
        """`draw_noise` for as many pictures as `like` has, on its device and in its type."""
        noise = self.draw_noise(len(like), generator=generator, independent=independent, device=like.device)
        return {r: tuple(plane.to(like.dtype) for plane in planes) for r, planes in noise.items()}

    def noise_width(self, resolution: int) -> int:
        """Channels of the noise in a feature's place: as many as the feature has."""
        return self.channels[resolution]

    def draw_noise(
        self,
        batch: int,
        *,
        generator: Generator | None = None,
        independent: bool = False,
        resolutions: Sequence[int] | None = None,
        device: torch.device | None = None,
    ) -> dict[int, tuple[Tensor, ...]]:
        """Gaussian features (batch, noise_width(r), r, r), drawn in the order of use on the generator's device.

        The inputs of a block share one draw, as they will share the encoder's feature, or (`independent`) do not.
        """
        source = generator.device if generator is not None else device
        features: dict[int, tuple[Tensor, ...]] = {}
        for r in resolutions if resolutions is not None else self.resolutions:
            count = self.feature_inputs[r]
            draws = [
                torch.randn(batch, self.noise_width(r), r, r, generator=generator, device=source).to(device)
                for _ in range(count if independent else min(count, 1))
            ]
            features[r] = tuple(draws) if independent else tuple(draws * count)
        return features


__all__ = ["Ability", "Features", "Prior", "Shapes"]
