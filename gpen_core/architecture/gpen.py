"""GPEN: an encoder and a GAN prior as decoder, joined by the latent code and a feature at each size (GPEN §3.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ..config import GPENConfig, ModelCard
from ..errors import ConfigError, InputError
from .comparators import COMPARATORS
from .encoder import encode, encoder_blocks, latent_head
from .generator import GeneratorPart
from .operators import at_least_float32
from .priors import PRIORS, Features, Prior, Shapes

DECODER = "generator."


def build_prior(config: GPENConfig, *, generator: Generator | None = None) -> Prior:
    """The prior that `config` names. Raises ConfigError for an unknown one."""
    if config.prior not in PRIORS:
        raise ConfigError(f"there is no prior {config.prior!r}; there are: {', '.join(PRIORS)}")
    return PRIORS[config.prior](config, generator=generator)


class Network(nn.Module):
    """The network with its canonical parameters, under the official names: it trains, saves and is verified.

    generator: draws the initial parameters; the same seed gives the same network.
    file: what the parameters were read from, if a file.
    """

    file: Path | None = None

    def __init__(
        self, config: GPENConfig, card: ModelCard | None = None, *, generator: Generator | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.card = card if card is not None else ModelCard()
        self._levels: list[str] = []
        if config.prior in COMPARATORS:
            self.generator: GeneratorPart = COMPARATORS[config.prior](config, generator=generator)
            return
        self.generator = build_prior(config, generator=generator)
        blocks = encoder_blocks(config.channels, config.in_size, generator=generator)
        self._levels = list(blocks)
        for name, block in blocks.items():
            self.add_module(name, block)
        self.final_linear = latent_head(config.channels[4], config.style_dim, generator=generator)

    @property
    def prior(self) -> Prior:
        """The generator, where it is a prior. Raises ConfigError for a whole network, which has none."""
        if not isinstance(self.generator, Prior):
            raise ConfigError(f"the network {self.config.prior!r} has no prior that features are fed to")
        return self.generator

    def encode(self, x: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """The latent code (B, style_dim) and the feature (B, channels[r], r, r) at each resolution up to in_size."""
        code, features = encode([self.get_submodule(name) for name in self._levels], self.final_linear, x)
        if not self.config.options.features:
            features = {r: torch.zeros_like(feature[:1]) for r, feature in features.items()}
        return code, features

    def drawn_features(self, device: torch.device) -> dict[int, tuple[Tensor, ...]]:
        """The noise of the resolutions above in_size: one set of batch 1 from the card's seed, for every face."""
        above = [r for r in self.config.resolutions if r > self.config.in_size]
        source = Generator().manual_seed(self.card.noise_seed)
        return self.prior.draw_noise(1, generator=source, independent=True, resolutions=above, device=device)

    def forward(self, x: Tensor, *, noise: Features | None = None) -> Tensor:
        """Restored faces (B, 3, out_size, out_size), float32, not clamped, in the card's value range.

        x: (B, 3, in_size, in_size) RGB in the card's value range, any float dtype, on the model's device.
        noise: features for the resolutions above in_size; None: `drawn_features`.
        Raises InputError for any other shape or kind of tensor.
        """
        weight = next(self.parameters())
        check_input(x, self.config.in_size, weight.device)
        if not self._levels:
            restored: Tensor = self.generator(x.to(weight.dtype))
            return restored.to(at_least_float32(restored.dtype))
        latent, features = self.encode(x.to(weight.dtype))
        inputs = self.prior.feature_inputs
        given: dict[int, Sequence[Tensor]] = {r: (f,) * inputs[r] for r, f in features.items()}
        if self.config.out_size > self.config.in_size:
            given.update(noise if noise is not None else self.drawn_features(x.device))
        out: Tensor = self.generator(latent, given)
        return out.to(at_least_float32(out.dtype))


def check_input(x: Tensor, size: int, device: torch.device) -> None:
    """Raises InputError unless `x` is a float tensor (B, 3, size, size) on `device`."""
    expected = f"faces (B, 3, {size}, {size})"
    if not isinstance(x, Tensor):
        raise InputError(f"the model takes a tensor of {expected}, got {type(x).__name__}")
    if x.ndim != 4 or x.shape[1] != 3:
        raise InputError(f"the model takes {expected} in RGB, got the shape {tuple(x.shape)}")
    if x.shape[-2:] != (size, size):
        raise InputError(f"the model takes {expected}, got {x.shape[-1]}×{x.shape[-2]} pixels; resize or crop first")
    if x.shape[0] == 0:
        raise InputError(f"the model takes {expected}, got a batch of no faces")
    if not x.is_floating_point():
        raise InputError(f"the model takes float tensors in its card's value range, got {x.dtype}; scale and convert")
    if x.device != device:
        raise InputError(f"the faces are on {x.device}, the model on {device}; move one to the other")


def config_from_shapes(shapes: Shapes) -> GPENConfig | None:
    """The configuration of a GPEN whose state dict has these names and shapes; None where no prior recognises them.

    Whether every tensor fits is for the caller to check, against `expected_shapes`.
    """
    inner = {name.removeprefix(DECODER): shape for name, shape in shapes.items() if name.startswith(DECODER)}
    levels = 0
    while f"ecd{levels}.0.{1 if levels else 0}.weight" in shapes:
        levels += 1
    if inner and not levels:
        whole = (found for kind in COMPARATORS.values() if (found := kind.recognise(inner)) is not None)
        values = next(whole, None)
        return None if values is None else GPENConfig.from_dict(values)
    if not inner:
        return None
    return prior_config(inner, in_size=2 ** (levels + 1))


def prior_config(shapes: Shapes, *, in_size: int | None = None) -> GPENConfig | None:
    """The configuration of the prior alone whose state dict has these names and shapes; None where it is none.

    in_size: of the GPEN around it; None: as large as its pictures.
    """
    for prior in PRIORS.values():
        values = prior.recognise(shapes)
        if values is not None:
            return GPENConfig.from_dict({**values, "in_size": in_size or values["out_size"]})
    return None


def expected_shapes(config: GPENConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of every tensor in the state dict of a GPEN of this configuration; nothing is allocated."""
    with torch.device("meta"):
        return {name: tuple(t.shape) for name, t in Network(config).state_dict().items()}


def embed(prior_state: Mapping[str, Tensor]) -> dict[str, Any]:
    """A prior's state dict under the names it has inside a GPEN."""
    return {DECODER + name: tensor for name, tensor in prior_state.items()}
