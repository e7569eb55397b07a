"""StyleGAN v1's generator (Karras et al. 2019), under the names of its usual PyTorch files.

In a GPEN the encoder's code is the mapping's z. A feature takes the place of the noise: after the convolution, before
bias and activation. There the instance norm follows, which erases a feature's mean and scale in each channel, so a
feature tells where something is, and the code how strong it is. Concatenated features leave the noise that the file
stores in its place: a stock prior begins with its own picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ...config import GPENConfig, MappingOptions
from ...errors import ConfigError
from ..layers import EqualizedLinear, FeatureInput, normal
from ..operators import LEAKY_SLOPE, at_least_float32
from .base import Ability, Features, Shapes
from .progressive import ProgressivePrior, channel_table, doubled, fused_kernel, normalised_by_channel, widened
from .progressive_prepared import PreparedStyleGAN
from .stylegan2 import truncated

FUSED_FROM = 128
"""Pixels from which doubling and convolution are one transposed convolution, whose kernel the files store turned."""

AVERAGE_KEPT = 0.995
"""How much of the average style latent stays at each step of training, as published."""


@dataclass(frozen=True, kw_only=True)
class StyleGANOptions(MappingOptions):
    """w_dim: numbers of a style latent; mlp_dim: of the mapping's inner layers; 0: as many as the code has."""

    w_dim: int = 0
    mlp_dim: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.w_dim < 0 or self.mlp_dim < 0:
            raise ConfigError(f"w_dim is {self.w_dim} and mlp_dim {self.mlp_dim}; they must be at least 0")
        if not self.n_mlp and self.w_dim:
            raise ConfigError(f"w_dim is {self.w_dim} without mapping layers; set n_mlp above 0, or w_dim to 0")


class StoredNoise(nn.Module):
    """The noise picture that a file keeps for a layer, and its weight for each channel."""

    noise: Tensor

    def __init__(self, channels: int, size: int, *, generator: Generator | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels))
        self.register_buffer("noise", normal(1, 1, size, size, generator=generator).detach())

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """`x` (B, C, H, W) plus weighted noise (B or 1, C or 1, H, W)."""
        return x + self.weight.to(x.dtype).view(1, -1, 1, 1) * noise.to(x.dtype)


class SmoothingKernel(nn.Module):
    """[1, 2, 1]² over its sum for each channel, as the files store it."""

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        taps = torch.tensor((1.0, 2.0, 1.0), device="cpu")
        self.register_buffer("kernel", (torch.outer(taps, taps) / 16).expand(channels, 1, 3, 3).clone())

    def forward(self, x: Tensor) -> Tensor:
        """The shape of `x` (B, C, H, W)."""
        return F.conv2d(x, self.kernel.to(x.dtype), padding=1, groups=x.shape[1])


class StyleLayer(nn.Module):
    """Convolution (or the constant), noise, feature, bias, activation, instance norm, style: half a resolution."""

    def __init__(self, prior: StyleGANPrior, index: int, *, generator: Generator | None) -> None:
        super().__init__()
        size = prior.resolutions[index // 2]
        outputs, self.concat = prior.channels[size], prior.options.concat
        self.starts, self.up = not index, index > 0 and not index % 2
        self.fused = self.up and size >= FUSED_FROM
        if self.starts:
            self.const = nn.Parameter(torch.ones(1, outputs, 4, 4))
        else:
            inputs = prior.channels[size // 2 if self.up else size] * prior.width
            self.weight = normal(outputs, inputs, 3, 3, generator=generator)
            self.scale = math.sqrt(2 / (9 * inputs))
        if self.up:
            self.blur = SmoothingKernel(outputs)
        self.bias = nn.Parameter(torch.zeros(outputs * prior.width))
        self.apply_noise = StoredNoise(outputs, size, generator=generator)
        if self.concat:
            self.feature = FeatureInput(True)
        self.style = EqualizedLinear(prior.w_dim, 2 * outputs * prior.width, generator=generator)

    def forward(self, x: Tensor, latent: Tensor, feature: Tensor) -> Tensor:
        """(B, outputs × (2 if concat), H, W). x: (B, inputs, H or H/2, …), which the first layer does not look at.

        latent: (B, w_dim).
        feature: (B or 1, outputs, H, W); without concatenation it, or noise of one channel, is the noise.
        """
        x = self.convolved(x, latent.shape[0], feature.dtype)
        if self.concat:
            x = self.feature(self.apply_noise(x, self.apply_noise.noise), feature)
        else:
            x = self.apply_noise(x, feature)
        x = F.leaky_relu(x + self.bias.to(x.dtype).view(1, -1, 1, 1), LEAKY_SLOPE)
        scale, shift = self.style(latent.to(at_least_float32(latent.dtype))).chunk(2, dim=1)
        return normalised_by_channel(x, scale, shift)

    def convolved(self, x: Tensor, batch: int, dtype: torch.dtype) -> Tensor:
        """What the convolution makes of `x`, doubled and smoothed where it is; of the first layer, its constant."""
        if self.starts:
            return self.const.to(dtype).expand(batch, -1, -1, -1)
        weight = (self.weight * self.scale).to(x.dtype)
        if not self.up:
            return F.conv2d(x, weight, padding=1)
        if self.fused:
            smoothed: Tensor = self.blur(F.conv_transpose2d(x, fused_kernel(weight), stride=2, padding=1))
            return smoothed
        smoothed = self.blur(F.conv2d(doubled(x), weight, padding=1))
        return smoothed


class StyleGANPrior(ProgressivePrior):
    """StyleGAN v1: two feature inputs a resolution, where its noise was."""

    name: ClassVar[str] = "stylegan"
    Options = StyleGANOptions
    abilities: ClassVar[frozenset[Ability]] = frozenset(
        ("convert its value range", "fade in", "mix styles", "have its path length measured", "truncate")
    )
    options: StyleGANOptions

    def __init__(self, config: GPENConfig, *, generator: Generator | None = None) -> None:
        super().__init__(config, generator=generator)
        options, dim = self.options, config.style_dim
        self.w_dim, inner = options.w_dim or dim, options.mlp_dim or dim
        self.mapping = nn.Module()
        for index in range(options.n_mlp):
            inputs, outputs = inner if index else dim, inner if index < options.n_mlp - 1 else self.w_dim
            dense = EqualizedLinear(inputs, outputs, rate=options.lr_mlp, gain=math.sqrt(2), generator=generator)
            self.mapping.add_module(f"dense{index}", dense)
        self.truncation = nn.Module()
        self.truncation.register_buffer("w_avg", torch.zeros(self.w_dim))
        self.synthesis = nn.Module()
        for index in range(self.latents):
            layer = StyleLayer(self, index, generator=generator)
            self.synthesis.add_module(f"layer{index}", layer)
        self.add_outputs(self.synthesis, generator)

    @property
    def stages(self) -> nn.Module:
        """Layers, outputs and `lod`."""
        return self.synthesis

    @property
    def latents(self) -> int:
        """How many style latents a picture takes: two a resolution."""
        return 2 * len(self.resolutions)

    @property
    def stored_noise(self) -> Features | None:  # type: ignore[override]
        """The noise pictures of the layers, where features are in their place."""
        if self.options.concat:
            return None
        noise = [self.synthesis.get_buffer(f"layer{i}.apply_noise.noise") for i in range(self.latents)]
        return {r: tuple(noise[2 * level : 2 * level + 2]) for level, r in enumerate(self.resolutions)}

    def noise_width(self, resolution: int) -> int:
        """One, where noise is added; as many as the feature has, where features are concatenated."""
        return self.channels[resolution] if self.options.concat else 1

    def style_latents(self, code: Tensor) -> Tensor:
        """The style latent (B, latents, w_dim) of each layer, all alike."""
        # Divided, as published: the last bit of a style latent shows in the largest pictures.
        w = code / torch.sqrt(code.square().mean(dim=1, keepdim=True) + 1e-8)
        for dense in self.mapping.children():
            w = F.leaky_relu(dense(w), LEAKY_SLOPE)
        return w[:, None].repeat(1, self.latents, 1)

    def render(self, latents: Tensor, features: Features) -> Tensor:
        """Pictures (B, 3, S, S) from style latents (B, latents, w_dim) and features."""
        return self.shown(self._results(latents, features))

    def _results(self, latents: Tensor, features: Features) -> Iterator[Tensor]:
        x = latents
        for level, resolution in enumerate(self.resolutions):
            for index, feature in enumerate(features[resolution], start=2 * level):
                x = self.synthesis.get_submodule(f"layer{index}")(x, latents[:, index], feature)
            yield x

    def forward(self, latent: Tensor, features: Features) -> Tensor:
        """Pictures (B, 3, S, S) from the encoder's code `latent` (B, style_dim), which the mapping takes as its z."""
        return self.render(self.style_latents(latent), features)

    def layers(self) -> list[StyleLayer]:
        """The layers, smallest first."""
        return [layer for layer in self.synthesis.children() if isinstance(layer, StyleLayer)]

    def prepared(self, dtype: torch.dtype) -> PreparedStyleGAN | None:
        """The inference form; None while it is half-grown."""
        return None if self.hidden else PreparedStyleGAN(self, dtype)

    def sampled(
        self, z: Tensor, noise: Features, truncation: float, layers: int | None, classes: Sequence[int] | None
    ) -> Tensor:
        """Truncation is towards the average that the file keeps."""
        latents = self.style_latents(z)
        if truncation != 1:
            average = self.truncation.get_buffer("w_avg").to(latents)
            latents = truncated(latents, average[None], truncation, layers)
        return self.render(latents, noise)

    def draw(
        self, like: Tensor, *, generator: Generator, mixing: float = 0.0, independent_noise: bool = False
    ) -> Tensor:
        """Samples, mixed where drawn; in training the average of the style latents follows them, as published."""
        latents, other = (self.style_latents(self.draw_codes(like, generator)) for _ in range(2))
        if self.training:
            with torch.no_grad():
                average = self.truncation.get_buffer("w_avg")
                average.lerp_(latents[:, 0].mean(dim=0).to(average), 1 - AVERAGE_KEPT)
        drawn = torch.rand(2, generator=generator, device=generator.device).tolist()
        if drawn[0] < mixing:
            mix_at = 1 + min(int(drawn[1] * (self.latents - 1)), self.latents - 2)
            latents = torch.cat([latents[:, :mix_at], other[:, mix_at:]], dim=1)
        return self.render(latents, self.draw_noise_like(like, generator, independent=independent_noise))

    def adapted(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A stock file's tensors, widened with zeros where this prior concatenates and the file adds noise.

        Raises WeightsError for a half-grown file.
        """
        self.require_grown(state, "synthesis.lod")
        bias = state.get("synthesis.layer0.bias")
        if not self.options.concat or bias is None or bias.numel() != self.channels[4]:
            return dict(state)
        wide = dict(state)
        for name, tensor in state.items():
            layer, last = name.rpartition(".")[::2]
            if name.startswith("synthesis.layer") and last == "bias" and not layer.endswith("style"):
                wide[name] = torch.cat([tensor, torch.zeros_like(tensor)])
                wide[f"{layer}.feature.weight"] = torch.ones(1)
            elif ".style." in name:
                # Scales of its own and of the feature's channels, then shifts of both.
                parts = tensor.chunk(2)
                wide[name] = torch.cat([half for part in parts for half in (part, torch.zeros_like(part))])
            elif name.startswith("synthesis.") and last == "weight" and tensor.ndim == 4:
                wide[name] = widened(tensor)
        return wide

    @classmethod
    def recognise(cls, shapes: Shapes) -> dict[str, Any] | None:
        """The fields of `GPENConfig` (all but in_size) of such a generator; None: another network."""
        table = channel_table(shapes, "synthesis.layer{}.weight", "synthesis.layer{}.bias")
        layers = 0
        while f"mapping.dense{layers}.weight" in shapes:
            layers += 1
        style = shapes.get("synthesis.layer0.style.weight")
        if table is None or style is None or len(style) != 2:
            return None
        channels, concat = table
        w_dim = int(style[1])
        dim = int(shapes["mapping.dense0.weight"][1]) if layers else w_dim
        inner = int(shapes["mapping.dense0.weight"][0]) if layers > 1 else dim
        return {
            "out_size": max(channels),
            "channels": channels,
            "style_dim": dim,
            "n_mlp": layers,
            "w_dim": 0 if w_dim == dim else w_dim,
            "mlp_dim": 0 if inner == dim else inner,
            "concat": concat,
            "prior": cls.name,
        }
