"""StyleGAN2's generator: mapping network, weight demodulation, skip pictures; noise inputs as wide as the features."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn

from ...config import GPENConfig, MappingOptions
from ...errors import InputError
from ..layers import ConstantInput, EqualizedLinear, PixelNorm, StyledConv, ToRGB
from .base import Ability, Features, Prior, Shapes
from .stylegan2_prepared import PreparedStyleGAN2


class StyleGAN2Prior(Prior):
    """The prior of GPEN: one feature input at 4×4, two at every larger resolution."""

    name: ClassVar[str] = "stylegan2"
    abilities: ClassVar[frozenset[Ability]] = frozenset(
        ("convert its value range", "grow", "mix styles", "have its path length measured", "truncate")
    )
    options: MappingOptions

    centre: Tensor | None = None
    """The mean style latent (1, style_dim), towards which truncation pulls (see `settle`)."""

    def __init__(self, config: GPENConfig, *, generator: Generator | None = None) -> None:
        super().__init__(config, generator=generator)
        dim, concat = config.style_dim, self.options.concat
        width = 2 if concat else 1
        self.style = nn.Sequential(
            PixelNorm(),
            *(
                EqualizedLinear(dim, dim, activate=True, rate=self.options.lr_mlp, generator=generator)
                for _ in range(self.options.n_mlp)
            ),
        )
        first = config.channels[4]
        self.input = ConstantInput(first, generator=generator)
        self.conv1 = StyledConv(first, first, dim, concat=concat, generator=generator)
        self.to_rgb1 = ToRGB(first * width, dim, up=False, generator=generator)
        self.convs = nn.ModuleList()
        self.to_rgbs = nn.ModuleList()
        inputs = first
        for resolution in config.resolutions[1:]:
            outputs = config.channels[resolution]
            for before, up in ((inputs, True), (outputs, False)):
                self.convs.append(StyledConv(before * width, outputs, dim, concat=concat, up=up, generator=generator))
            self.to_rgbs.append(ToRGB(outputs * width, dim, generator=generator))
            inputs = outputs

    @property
    def feature_inputs(self) -> Mapping[int, int]:
        """One at 4×4, then two."""
        return {r: 1 if r == 4 else 2 for r in self.resolutions}

    @property
    def latents(self) -> int:
        """How many style latents a picture takes: one for each convolution, the last shared with the last ToRGB."""
        return 2 * len(self.resolutions)

    def mapping(self, z: Tensor) -> Tensor:
        """Style latents w (B, style_dim) of the Gaussian codes `z` (B, style_dim)."""
        w: Tensor = self.style(z)
        return w

    def style_latents(self, code: Tensor) -> Tensor:
        """The style latent (B, latents, style_dim) of each convolution, all alike."""
        return self.mapping(code)[:, None].repeat(1, self.latents, 1)

    def mean_latent(self, count: int = 4096, *, generator: Generator | None = None) -> Tensor:
        """The mean style latent (1, style_dim) of `count` codes, towards which truncation pulls."""
        weight = self.input.input
        device = generator.device if generator is not None else weight.device
        z = torch.randn(count, self.latent_dim, generator=generator, device=device).to(weight)
        with torch.no_grad():
            return self.mapping(z).mean(dim=0, keepdim=True)

    def render(self, latents: Tensor, features: Features) -> Tensor:
        """Pictures (B, 3, S, S) from style latents (B, style_dim) or (B, latents, style_dim) and features."""
        if latents.ndim == 2:
            latents = latents[:, None].expand(-1, self.latents, -1)
        # Channels last, as the encoder's features are when its input is: mixed layouts cost half as much again.
        x = self.input(latents.shape[0]).to(features[4][0].dtype).contiguous(memory_format=torch.channels_last)
        x = self.conv1(x, latents[:, 0], features[4][0])
        picture: Tensor = self.to_rgb1(x, latents[:, 1])
        for level, resolution in enumerate(self.resolutions[1:]):
            first = 2 * level + 1
            for offset, feature in enumerate(features[resolution]):
                x = self.convs[2 * level + offset](x, latents[:, first + offset], feature)
            picture = self.to_rgbs[level](x, latents[:, first + 2], picture)
        return picture

    def forward(self, latent: Tensor, features: Features) -> Tensor:
        """Pictures (B, 3, S, S) from the encoder's code `latent` (B, style_dim), which the mapping takes as its z."""
        return self.render(self.mapping(latent), features)

    def prepared(self, dtype: torch.dtype) -> PreparedStyleGAN2:
        """The inference form: constants folded, channels last, in strips of rows on a CPU."""
        return PreparedStyleGAN2(self, dtype)

    def settle(self, state: Mapping[str, Tensor]) -> None:
        """The noise pictures of a stock file, and the mean of 4,096 codes for truncation."""
        counts = itertools.count()
        names = {r: [f"noises.noise_{next(counts)}" for _ in range(n)] for r, n in self.feature_inputs.items()}
        if all(name in state for group in names.values() for name in group):
            self.stored_noise = {r: tuple(state[name] for name in group) for r, group in names.items()}
        self.centre = self.mean_latent(generator=Generator().manual_seed(0))

    def sample(
        self,
        z: Tensor,
        *,
        z2: Tensor | None = None,
        mix_at: int | None = None,
        truncation: float = 1.0,
        truncated_layers: int | None = None,
        mean_latent: Tensor | None = None,
        classes: Sequence[int] | None = None,
        noise: Features | None = None,
        generator: Generator | None = None,
        independent_noise: bool = False,
    ) -> Tensor:
        """Pictures (B, 3, S, S) as `Prior.sample` makes them.

        z2, mix_at: style mixing; latents from index `mix_at` on (1 … latents − 1) are z2's.
        mean_latent: (1, style_dim), towards which truncation pulls; None: what `settle` found.
        Raises InputError when mixing or truncation lacks its other half.
        """
        if classes is not None:
            self.require("choose classes")
        self.check_codes(z)
        if (z2 is None) != (mix_at is None):
            raise InputError("style mixing needs both z2 and mix_at; give both or neither")
        centre = mean_latent if mean_latent is not None else self.centre
        if truncation != 1 and centre is None:
            raise InputError(f"truncation {truncation} needs mean_latent; prior.mean_latent() gives it")
        w = self.mapping(z)[:, None].expand(-1, self.latents, -1)
        if z2 is not None and mix_at is not None:
            if not 0 < mix_at < self.latents:
                raise InputError(f"mix_at is {mix_at}; it must lie between 1 and {self.latents - 1}")
            other = self.mapping(z2)[:, None].expand(-1, self.latents, -1)
            w = torch.cat([w[:, :mix_at], other[:, mix_at:]], dim=1)
        if truncation != 1 and centre is not None:
            w = truncated(w, centre.to(w), truncation, truncated_layers)
        if noise is None and self.stored_noise is None:
            noise = self.draw_noise(len(z), generator=generator, independent=independent_noise, device=z.device)
        return self.render(w, self.noise_for(z, noise, generator))

    def draw(
        self, like: Tensor, *, generator: Generator, mixing: float = 0.0, independent_noise: bool = False
    ) -> Tensor:
        """Samples, from a random convolution on with a second code's style, where drawn."""
        z, z2 = (self.draw_codes(like, generator) for _ in range(2))
        drawn = torch.rand(2, generator=generator, device=generator.device).tolist()
        mix_at = 1 + min(int(drawn[1] * (self.latents - 1)), self.latents - 2) if drawn[0] < mixing else None
        noise = self.draw_noise_like(like, generator, independent=independent_noise)
        return self.sample(z, z2=None if mix_at is None else z2, mix_at=mix_at, noise=noise)

    def adapted(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A stock file's tensors, without its noise pictures, widened where this prior concatenates and it adds.

        The new half of every input gets zero columns; equalised weights are multiplied by √2 for the doubled fan-in;
        its features are let in with weight 1, or no gradient would ever reach those columns.
        """
        kept = {name: tensor for name, tensor in state.items() if not name.startswith("noises.")}
        bias = kept.get("conv1.activate.bias")
        if not self.options.concat or bias is None or bias.numel() != self.channels[4]:
            return kept
        widened = dict(kept)
        for name, tensor in kept.items():
            if name.endswith("activate.bias"):
                widened[name] = torch.cat([tensor, torch.zeros_like(tensor)])
            elif name.endswith("noise.weight"):
                widened[name] = torch.ones_like(tensor).reshape(1)
            elif name.startswith("conv1."):
                continue
            elif name.endswith("conv.weight"):
                widened[name] = torch.cat([tensor, torch.zeros_like(tensor)], dim=2) * math.sqrt(2)
            elif name.endswith("modulation.weight"):
                widened[name] = torch.cat([tensor, torch.zeros_like(tensor)])
            elif name.endswith("modulation.bias"):
                widened[name] = torch.cat([tensor, torch.ones_like(tensor)])
        return widened

    def change_range(self, scale: float, shift: float) -> None:
        """The picture is a sum of what each resolution adds: all are scaled, and the last one's bias is moved."""
        layers = [self.to_rgb1, *self.to_rgbs]
        with torch.no_grad():
            for layer in layers:
                layer.get_parameter("conv.weight").mul_(scale)
                layer.get_parameter("bias").mul_(scale)
            layers[-1].get_parameter("bias").add_(shift)

    def grown(self, smaller: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """New resolutions keep their fresh weights, except that what they add to the picture starts at zero."""
        own = self.state_dict()
        silent = {
            name: torch.zeros_like(tensor)
            for name, tensor in own.items()
            if name.startswith("to_rgbs.") and name.endswith((".conv.weight", ".bias")) and "modulation" not in name
        }
        return {**own, **silent, **{name: tensor for name, tensor in smaller.items() if name in own}}

    @classmethod
    def recognise(cls, shapes: Shapes) -> dict[str, Any] | None:
        """The fields of `GPENConfig` (all but in_size) of such a StyleGAN2 generator; None: another network."""
        convs = _count(shapes, "convs.{}.conv.weight")
        needed = ("input.input", "conv1.conv.weight", "conv1.activate.bias", "conv1.conv.modulation.weight")
        if not convs or convs % 2 or any(name not in shapes for name in needed):
            return None
        if len(shapes["conv1.conv.weight"]) != 5 or len(shapes["conv1.conv.modulation.weight"]) != 2:
            return None
        channels = {4: int(shapes["conv1.conv.weight"][1])}
        for level in range(convs // 2):
            shape = shapes[f"convs.{2 * level + 1}.conv.weight"]
            if len(shape) != 5:
                return None
            channels[2 ** (level + 3)] = int(shape[1])
        return {
            "out_size": 2 ** (convs // 2 + 2),
            "channels": channels,
            "style_dim": int(shapes["conv1.conv.modulation.weight"][1]),
            "n_mlp": _count(shapes, "style.{}.weight", start=1),
            "concat": tuple(shapes["conv1.activate.bias"]) == (2 * channels[4],),
            "prior": cls.name,
        }


def truncated(latents: Tensor, centre: Tensor, share: float, layers: int | None) -> Tensor:
    """`latents` (B, n, D), the first `layers` (None: all) brought towards `centre` (1, D): `share` of the way stays."""
    count = latents.shape[1] if layers is None else layers
    near = centre + share * (latents[:, :count] - centre)
    return torch.cat([near, latents[:, count:]], dim=1)


def _count(names: Shapes | Sequence[str], pattern: str, start: int = 0) -> int:
    count = 0
    while pattern.format(start + count) in names:
        count += 1
    return count
