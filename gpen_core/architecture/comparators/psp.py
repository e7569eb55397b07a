"""pixel2style2pixel (Richardson et al. 2021): a feature pyramid finds the latents of a frozen StyleGAN2.

The published encoder begins with a face recognition network (IR-SE50), whose weights are not free; here a residual
network of the channel table stands in its place, trained from the start.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ...config import GPENConfig, MappingOptions
from ..generator import Ability, Shapes
from ..layers import ConvLayer, EqualizedLinear
from ..priors import StyleGAN2Prior
from .base import Comparator

PLACE = "decoder."
COARSE, MIDDLE = 3, 7
"""Latents below these come from the pyramid's smallest and middle features, the others from its largest."""


@dataclass(frozen=True, kw_only=True)
class PSPOptions(MappingOptions):
    """Of the frozen StyleGAN2; there are no features, and its noise is always added."""

    UNSEEN: ClassVar[tuple[str, ...]] = (*MappingOptions.UNSEEN, "concat")


class StyleHead(nn.Module):
    """Convolutions of stride 2 down to 4×4, and a linear layer: one style latent."""

    def __init__(self, channels: int, size: int, style_dim: int, *, generator: Generator | None) -> None:
        super().__init__()
        halvings = size.bit_length() - 3
        self.convs = nn.Sequential(
            *(ConvLayer(channels, channels, 3, down=True, generator=generator) for _ in range(halvings))
        )
        self.linear = EqualizedLinear(channels * 16, style_dim, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """(B, style_dim) from `x` (B, channels, size, size)."""
        out: Tensor = self.linear(self.convs(x).flatten(1))
        return out


class PSP(Comparator):
    """The encoder gives each latent's distance from the prior's mean; the prior itself is not trained."""

    name: ClassVar[str] = "psp"
    Options = PSPOptions
    abilities: ClassVar[frozenset[Ability]] = frozenset(("have the norm of its latents measured",))
    prior_place: ClassVar[str] = PLACE
    options: PSPOptions
    latent_mean: Tensor

    def __init__(self, config: GPENConfig, *, generator: Generator | None = None) -> None:
        super().__init__(config, generator=generator)
        table, sizes = self.channels, self.resolutions[::-1]
        self.decoder = StyleGAN2Prior(_inner(config), generator=generator).requires_grad_(False)
        self.register_buffer("latent_mean", torch.zeros(1, config.style_dim))
        self.start = ConvLayer(3, table[sizes[0]], 1, generator=generator)
        self.body = nn.ModuleList(
            ConvLayer(table[size], table[half], 3, down=True, generator=generator)
            for size, half in itertools.pairwise(sizes[:-1])
        )
        # The pyramid: the smallest feature, and the two above it (where there are), brought to one width.
        self.levels = self.resolutions[1:4]
        width = table[self.levels[0]]
        self.side = nn.ModuleList(
            ConvLayer(table[size], width, 1, activate=False, generator=generator) for size in self.levels[1:]
        )
        self.heads = nn.ModuleList(
            StyleHead(width, self._level(index), config.style_dim, generator=generator)
            for index in range(self.decoder.latents)
        )

    def _level(self, index: int) -> int:
        wanted = 0 if index < COARSE else 1 if index < MIDDLE else 2
        return self.levels[min(wanted, len(self.levels) - 1)]

    @property
    def prior_name(self) -> str | None:
        """StyleGAN2."""
        return StyleGAN2Prior.name

    def offsets(self, x: Tensor) -> Tensor:
        """How far each latent (B, latents, style_dim) of the faces `x` is from the mean."""
        x = self.start(x)
        found = {x.shape[-1]: x}
        for layer in self.body:
            x = layer(x)
            found[x.shape[-1]] = x
        pyramid = {self.levels[0]: found[self.levels[0]]}
        for (small, large), side in zip(itertools.pairwise(self.levels), self.side, strict=True):
            raised = F.interpolate(pyramid[small], scale_factor=2.0, mode="bilinear", align_corners=False)
            pyramid[large] = raised + side(found[large])
        return torch.stack([head(pyramid[self._level(i)]) for i, head in enumerate(self.heads)], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Restored faces (B, 3, S, S); the prior's noise is silent."""
        latents = self.latent_mean[:, None].to(x.dtype) + self.offsets(x)
        silence = {
            r: (torch.zeros(1, 1, r, r, device=x.device, dtype=x.dtype),) * count
            for r, count in self.decoder.feature_inputs.items()
        }
        return self.decoder.render(latents, silence)

    def latent_norm(self, x: Tensor) -> Tensor:
        """The mean length of all of a face's offsets together, as published."""
        lengths: Tensor = torch.linalg.vector_norm(self.offsets(x).flatten(1), dim=1)
        return lengths.mean()

    def adapted(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A StyleGAN2's tensors with the mean of its latents, from which the encoder starts."""
        inner = self.decoder.adapted(state)
        prior = StyleGAN2Prior(self.decoder.config)
        prior.load_state_dict(inner)
        mean = prior.mean_latent(generator=Generator().manual_seed(0))
        return {**{PLACE + name: tensor for name, tensor in inner.items()}, "latent_mean": mean}

    @classmethod
    def recognise(cls, shapes: Shapes) -> dict[str, Any] | None:
        """By its heads and the StyleGAN2 inside."""
        if "heads.0.linear.weight" not in shapes or "latent_mean" not in shapes:
            return None
        inside = {n.removeprefix(PLACE): shape for n, shape in shapes.items() if n.startswith(PLACE)}
        found = StyleGAN2Prior.recognise(inside)
        return None if found is None else {**found, "in_size": found["out_size"], "prior": cls.name, "concat": True}


def _inner(config: GPENConfig) -> GPENConfig:
    """The configuration of the StyleGAN2 inside."""
    options = config.options
    assert isinstance(options, PSPOptions)
    return GPENConfig(
        in_size=config.in_size,
        out_size=config.out_size,
        channels=config.channels,
        style_dim=config.style_dim,
        n_mlp=options.n_mlp,
        lr_mlp=options.lr_mlp,
        concat=False,
    )
