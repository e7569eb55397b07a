"""What a GAN prior must offer to be embedded as GPEN's decoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Generator, Tensor, nn

from ...config import GPENConfig, MappingOptions, PriorOptions
from ...errors import ConfigError, InputError
from ..folded import FoldedModule

Shapes = Mapping[str, Sequence[int]]
Features = Mapping[int, Sequence[Tensor]]
Ability = Literal[
    "convert its value range",
    "grow",
    "fade in",
    "mix styles",
    "have its path length measured",
    "truncate",
    "choose classes",
]

_REMEDIES: Mapping[Ability, str] = {
    "convert its value range": "train it in the range that the task has",
    "grow": "train it at its full size",
    "fade in": "leave growth.from_size at 0",
    "mix styles": "set losses.mixing = 0",
    "have its path length measured": "set losses.path_length = 0",
    "truncate": "leave truncation at 1",
    "choose classes": "leave classes out",
}


class Prior(nn.Module, ABC):
    """A generator whose noise inputs can be fed by an encoder's features.

    A new prior is one file and one line in `PRIORS`: the encoder is built from this table, and a file of weights is
    recognised by it. `generator` draws the initial parameters. They stand
    under `generator.` in a GPEN, with the names of that prior's usual weights.
    What a prior can do beyond `forward` it says in `abilities`, and has the method of; the rest is refused by name.
    """

    name: ClassVar[str]
    """Of the prior in `PRIORS` and in a configuration."""

    Options: ClassVar[type[PriorOptions]] = MappingOptions
    """What of a configuration is this prior's own."""

    abilities: ClassVar[frozenset[Ability]] = frozenset()

    stored_noise: Features | None = None
    """The noise that a file keeps beside the weights, where it does (see `settle`)."""

    def __init__(self, config: GPENConfig, *, generator: Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.options = config.options
        self.latent_dim = config.style_dim
        self.resolutions = config.resolutions
        self.channels = dict(config.channels)

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

    @classmethod
    def require(cls, ability: Ability) -> None:
        """Raises ConfigError, with what to do instead, unless this prior has the ability."""
        if ability not in cls.abilities:
            raise cls.refusal(ability)

    @classmethod
    def refusal(cls, ability: Ability) -> ConfigError:
        """That this prior lacks the ability, and what to do instead."""
        return ConfigError(f"the prior {cls.name!r} cannot {ability}; {_REMEDIES[ability]}")

    def adapted(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A file's tensors of such a prior as this one takes them, for the same pictures from the same code.

        Where this one concatenates features and the file's adds noise, the new columns are zero.
        """
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
        if truncation != 1:
            self.require("truncate")
        if classes is not None:
            self.require("choose classes")
        self.check_codes(z)
        pictures: Tensor = self(z, self.noise_for(z, noise, generator))
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

    def change_range(self, scale: float, shift: float) -> None:
        """Makes every picture `scale` times what it was, plus `shift`. Raises ConfigError where it cannot."""
        raise self.refusal("convert its value range")

    def grown(self, smaller: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """This prior's state with a smaller one's inside: at first the same pictures, brought to size.

        Raises ConfigError where it cannot.
        """
        raise self.refusal("grow")

    def hide(self, resolutions: float) -> None:
        """Leaves so many of the largest resolutions out of the pictures; a fraction of one fades it in.

        Raises ConfigError where it cannot.
        """
        raise self.refusal("fade in")

    def style_latents(self, code: Tensor) -> Tensor:
        """The latents (B, latents, D) of codes (B, latent_dim) that `render` takes (ConfigError: there are none)."""
        raise self.refusal("have its path length measured")

    def render(self, latents: Tensor, features: Features) -> Tensor:
        """Pictures (B, 3, S, S) from what `style_latents` gave. Raises ConfigError as it does."""
        raise self.refusal("have its path length measured")

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
