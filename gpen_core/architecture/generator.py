"""What every generator shares, a GAN prior or a whole network: a name, its own options, and what it says it can do."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar, Literal

from torch import Tensor, nn

from ..config import GPENConfig, MappingOptions, PriorOptions
from ..errors import ConfigError

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
    "take a prior",
    "have the norm of its latents measured",
]

_REMEDIES: Mapping[Ability, str] = {
    "convert its value range": "train it in the range that the task has",
    "grow": "train it at its full size",
    "fade in": "leave growth.from_size at 0",
    "mix styles": "set losses.mixing = 0",
    "have its path length measured": "set losses.path_length = 0",
    "truncate": "leave truncation at 1",
    "choose classes": "leave classes out",
    "take a prior": "leave --prior out",
    "have the norm of its latents measured": "set losses.latent_norm = 0",
}


class GeneratorPart(nn.Module, ABC):
    """Stands under `generator.` in a `Network`. What it can do it says in `abilities`, and has the method of; the rest
    is refused by name.
    """

    name: ClassVar[str]
    """In a configuration, where it is called the prior."""

    Options: ClassVar[type[PriorOptions]] = MappingOptions
    """What of a configuration is its own."""

    abilities: ClassVar[frozenset[Ability]] = frozenset()

    whole: ClassVar[bool] = False
    """Whether it takes the damaged face itself, and no encoder stands before it."""

    prior_place: ClassVar[str] = ""
    """Where in it the tensors of a prior stand."""

    def __init__(self, config: GPENConfig) -> None:
        super().__init__()
        self.config = config
        self.options = config.options
        self.latent_dim = config.style_dim
        self.resolutions = config.resolutions
        self.channels = dict(config.channels)

    def settled(self) -> AbstractContextManager[None]:
        """Inside, nothing that it does depends on a tensor's value, for programs that trace it."""
        return nullcontext()

    @property
    def prior_name(self) -> str | None:
        """Of the prior that `adapted` takes; None: of none."""
        return None

    @classmethod
    def require(cls, ability: Ability) -> None:
        """Raises ConfigError, with what to do instead, unless it has the ability."""
        if ability not in cls.abilities:
            raise cls.refusal(ability)

    @classmethod
    def refusal(cls, ability: Ability) -> ConfigError:
        """That it lacks the ability, and what to do instead."""
        kind = "network" if cls.whole else "prior"
        return ConfigError(f"the {kind} {cls.name!r} cannot {ability}; {_REMEDIES[ability]}")

    def adapted(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of a prior's file as it takes them, for the same pictures from the same code.

        Where it concatenates features and the file's prior adds noise, the new columns are zero.
        Raises ConfigError where it takes none.
        """
        raise self.refusal("take a prior")

    def change_range(self, scale: float, shift: float) -> None:
        """Makes every picture `scale` times what it was, plus `shift`. Raises ConfigError where it cannot."""
        raise self.refusal("convert its value range")

    def grown(self, smaller: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Its state with a smaller one's inside: at first the same pictures, brought to size.

        Raises ConfigError where it cannot.
        """
        raise self.refusal("grow")

    def style_latents(self, code: Tensor) -> Tensor:
        """The latents (B, latents, D) of codes (B, latent_dim) that `render` takes (ConfigError: there are none)."""
        raise self.refusal("have its path length measured")

    def render(self, latents: Tensor, features: Features) -> Tensor:
        """Pictures (B, 3, S, S) from what `style_latents` gave. Raises ConfigError as it does."""
        raise self.refusal("have its path length measured")

    def latent_norm(self, x: Tensor) -> Tensor:
        """Scalar: how far the latents of faces `x` are from their mean, on average. Raises ConfigError without any."""
        raise self.refusal("have the norm of its latents measured")
