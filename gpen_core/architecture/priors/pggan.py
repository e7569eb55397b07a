"""PGGAN's generator (Karras et al. 2018), under the names of its usual PyTorch files.

In a GPEN the encoder's code is its z, which enters at the first layer alone: nothing modulates the others, so the
features carry the rest. It has no noise either; features join after the convolution, before bias and activation. The
pixel norm brings a feature's channels to unit size apart from the prior's own: a stock prior begins with its own
picture, whatever the features are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ...config import GPENConfig, PriorOptions
from ..layers import FeatureInput, normal
from ..operators import LEAKY_SLOPE, pixel_norm
from .base import Ability, Features, Shapes
from .progressive import ProgressivePrior, channel_table, doubled, widened
from .progressive_prepared import PreparedPGGAN


class Layer(nn.Module):
    """Pixel norm, doubling, convolution, feature, bias, activation: half a resolution."""

    def __init__(self, prior: PGGANPrior, index: int, *, generator: Generator | None) -> None:
        super().__init__()
        size = prior.resolutions[index // 2]
        outputs, self.width = prior.channels[size], prior.width
        self.starts, self.up = not index, index > 0 and not index % 2
        before = prior.channels[size // 2 if self.up else size] * self.width
        inputs, kernel = (prior.latent_dim, 4) if self.starts else (before, 3)
        self.weight = normal(outputs, inputs, kernel, kernel, generator=generator)
        self.bias = nn.Parameter(torch.zeros(outputs * self.width))
        self.feature = FeatureInput(prior.options.concat)
        self.scale = math.sqrt(2 / (inputs * kernel**2))

    def forward(self, x: Tensor, feature: Tensor) -> Tensor:
        """(B, outputs × (2 if concat), H, W) from `x` (B, inputs, H or H/2, …) and the feature (B or 1, outputs, H, W).

        x: of the first layer, the code (B, latent_dim, 1, 1).
        """
        x = pixel_norm(x) if self.starts else normalised(x, self.width)
        if self.up:
            x = doubled(x)
        x = F.conv2d(x, (self.weight * self.scale).to(x.dtype), padding=3 if self.starts else 1)
        x = self.feature(x, feature)
        return F.leaky_relu(x + self.bias.to(x.dtype).view(1, -1, 1, 1), LEAKY_SLOPE)


def normalised(x: Tensor, parts: int) -> Tensor:
    """`x` (B, C, H, W) with the pixel norm over each of so many parts of its channels."""
    return torch.cat([pixel_norm(part) for part in x.chunk(parts, dim=1)], dim=1)


class PGGANPrior(ProgressivePrior):
    """PGGAN: two feature inputs a resolution."""

    name: ClassVar[str] = "pggan"
    Options = PriorOptions
    abilities: ClassVar[frozenset[Ability]] = frozenset(("convert its value range", "fade in"))

    def __init__(self, config: GPENConfig, *, generator: Generator | None = None) -> None:
        super().__init__(config, generator=generator)
        for index in range(2 * len(self.resolutions)):
            self.add_module(f"layer{index}", Layer(self, index, generator=generator))
        self.add_outputs(self, generator)

    def forward(self, latent: Tensor, features: Features) -> Tensor:
        """Pictures (B, 3, S, S) from the code `latent` (B, style_dim), of which only the direction counts."""
        return self.shown(self._results(latent, features))

    def layers(self) -> list[Layer]:
        """The layers, smallest first."""
        return [layer for layer in self.children() if isinstance(layer, Layer)]

    def prepared(self, dtype: torch.dtype) -> PreparedPGGAN | None:
        """The inference form; None while it is half-grown."""
        return None if self.hidden else PreparedPGGAN(self, dtype)

    def _results(self, latent: Tensor, features: Features) -> Iterator[Tensor]:
        x = latent[:, :, None, None]
        for level, resolution in enumerate(self.resolutions):
            for index, feature in enumerate(features[resolution], start=2 * level):
                x = self.get_submodule(f"layer{index}")(x, feature)
            yield normalised(x, self.width)

    def adapted(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A stock file's tensors, with inputs for features that do not show yet.

        Raises WeightsError for a half-grown file.
        """
        self.require_grown(state, "lod")
        layers = range(2 * len(self.resolutions))
        if any(f"layer{index}.feature.weight" in state for index in layers):
            return dict(state)
        wide = dict(state)
        for index in layers:
            bias, weight = state.get(f"layer{index}.bias"), state.get(f"layer{index}.weight")
            wide[f"layer{index}.feature.weight"] = torch.ones(1) if self.options.concat else torch.zeros(1)
            if self.options.concat and bias is not None and weight is not None:
                wide[f"layer{index}.bias"] = torch.cat([bias, torch.zeros_like(bias)])
                if index:
                    wide[f"layer{index}.weight"] = widened(weight)
        if self.options.concat:
            wide |= {n: widened(t) for n, t in state.items() if n.startswith("output") and n.endswith("weight")}
        return wide

    @classmethod
    def recognise(cls, shapes: Shapes) -> dict[str, Any] | None:
        """The fields of `GPENConfig` (all but in_size) of such a generator; None: another network."""
        table = channel_table(shapes, "layer{}.weight", "layer{}.bias")
        first = shapes.get("layer0.weight")
        if table is None or first is None or tuple(first[2:]) != (4, 4) or "output0.weight" not in shapes:
            return None
        channels, concat = table
        return {
            "out_size": max(channels),
            "channels": channels,
            "style_dim": int(first[1]),
            "concat": concat,
            "prior": cls.name,
        }
