"""BigGAN's generator (Brock et al. 2019), under the names of its usual PyTorch files, spectral norm folded on reading.

In a GPEN the encoder's code is the hierarchical z: a part of it makes the 4×4 start, one part of it and the class
embedding, which is learnt on, the gains and biases of each block's norms. Features join where a block's two norms look:
between its convolutions, and after it (after its attention). The norms use their standing statistics, so that a face
does not depend on its batch-mates; only training alone (stage 1) takes the batch's own.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ...config import GPENConfig, PriorOptions
from ...errors import ConfigError, InputError, WeightsError
from ..layers import FeatureInput, normal
from ..operators import at_least_float32
from .base import Ability, Features, Prior, Shapes
from .biggan_layers import Attention, Block, Convolution, Linear, OutputNorm
from .biggan_prepared import PreparedBigGAN


@dataclass(frozen=True, kw_only=True)
class BigGANOptions(PriorOptions):
    """classes: of pictures; shared_dim: numbers of a class's embedding; attention: the resolutions that have it.

    hierarchical: each block gets a part of the code of its own, or none.
    """

    classes: int = 1
    shared_dim: int = 128
    attention: tuple[int, ...] = ()
    hierarchical: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "attention", tuple(self.attention))
        if self.classes < 1 or self.shared_dim < 1:
            raise ConfigError(f"classes is {self.classes} and shared_dim {self.shared_dim}; they must be at least 1")


class BigGANPrior(Prior):
    """BigGAN: one feature input at 4×4, two at every larger resolution."""

    name: ClassVar[str] = "biggan"
    Options = BigGANOptions
    abilities: ClassVar[frozenset[Ability]] = frozenset(("choose classes",))
    options: BigGANOptions

    def __init__(self, config: GPENConfig, *, generator: Generator | None = None) -> None:
        super().__init__(config, generator=generator)
        options, sizes = self.options, self.resolutions
        slots = len(sizes) if options.hierarchical else 1
        if self.latent_dim % slots:
            raise ConfigError(
                f"style_dim is {self.latent_dim}; BigGAN at {config.out_size} px divides it among {slots} places:"
                f" take {max(1, round(self.latent_dim / slots)) * slots}"
            )
        if not set(options.attention) <= set(sizes[1:]):
            raise ConfigError(f"attention is {list(options.attention)}; the resolutions are {list(sizes[1:])}")
        self.part = self.latent_dim // slots
        width, condition = 2 if options.concat else 1, options.shared_dim + (self.part if options.hierarchical else 0)
        table = self.channels
        self.shared = nn.Module()
        self.shared.weight = normal(options.classes, options.shared_dim, generator=generator)
        self.linear = Linear(self.part, table[4] * 16, generator=generator)
        self.feature = FeatureInput(options.concat)
        self.blocks = nn.ModuleList()
        for half, size in itertools.pairwise(sizes):
            parts: list[nn.Module] = [Block(table[half], table[size], width, condition, generator=generator)]
            if size in options.attention:
                parts.append(Attention(table[size], generator=generator))
            self.blocks.append(nn.ModuleList(parts))
        last = table[sizes[-1]]
        picture = Convolution(last * width, 3, 3, generator=generator)
        self.output_layer = nn.ModuleList([OutputNorm(last * width), nn.ReLU(), picture])

    @property
    def feature_inputs(self) -> Mapping[int, int]:
        """One at 4×4, then two."""
        return {r: 1 if r == 4 else 2 for r in self.resolutions}

    def forward(self, latent: Tensor, features: Features) -> Tensor:
        """Pictures (B, 3, S, S) in [-1, 1] from the code `latent` (B, style_dim), of the classes' mean embedding."""
        embedding = self.shared.get_parameter("weight").mean(dim=0, keepdim=True)
        return self.render_of(latent, embedding.expand(latent.shape[0], -1), features)

    def parts(self, index: int) -> tuple[Block, Attention | None]:
        """A block and the attention that follows it, if any does."""
        block, *attention = self.blocks[index].children()
        assert isinstance(block, Block)
        return block, next((layer for layer in attention if isinstance(layer, Attention)), None)

    def ending(self) -> tuple[OutputNorm, Convolution]:
        """The last norm, and the convolution to the picture."""
        norm, _, picture = self.output_layer
        assert isinstance(norm, OutputNorm)
        assert isinstance(picture, Convolution)
        return norm, picture

    def prepared(self, dtype: torch.dtype) -> PreparedBigGAN:
        """The inference form."""
        return PreparedBigGAN(self, dtype)

    def render_of(self, z: Tensor, embedding: Tensor, features: Features, *, standing: bool = True) -> Tensor:
        """Pictures (B, 3, S, S) of codes `z` (B, style_dim) and classes' embeddings (B, shared_dim).

        standing: by the norms' stored statistics, else by the batch's own, which the stored ones then follow.
        """
        first, *rest = torch.split(z, self.part, dim=1)
        if not self.options.hierarchical:
            rest = [z[:, :0]] * len(self.blocks)
        x = self.linear(first).unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last)
        x = self.feature(x, features[4][0])
        for index, (size, part) in enumerate(zip(self.resolutions[1:], rest, strict=True)):
            between, after = features[size]
            block, attention = self.parts(index)
            x = block(x, torch.cat([embedding, part], dim=1), between, standing)
            if attention is not None:
                x = attention(x)
            x = block.feature_after(x, after)
        norm, picture = self.ending()
        out = picture(F.relu(norm(x, standing)))
        return torch.tanh(out.to(at_least_float32(out.dtype)))

    def sampled(
        self, z: Tensor, noise: Features, truncation: float, layers: int | None, classes: Sequence[int] | None
    ) -> Tensor:
        """Raises InputError for a class that there is not."""
        chosen = torch.as_tensor([0] * len(z) if classes is None else list(classes), device=z.device)
        count = self.options.classes
        if chosen.shape != (len(z),) or int(chosen.min()) < 0 or int(chosen.max()) >= count:
            raise InputError(f"classes are {chosen.tolist()}; give {len(z)} numbers from 0 to {count - 1}")
        return self.render_of(z, self.shared.get_parameter("weight")[chosen], noise)

    def draw(
        self, like: Tensor, *, generator: Generator, mixing: float = 0.0, independent_noise: bool = False
    ) -> Tensor:
        """Samples of random classes; in training with the batch's own statistics."""
        if mixing:
            self.require("mix styles")
        z = self.draw_codes(like, generator)
        chosen = torch.randint(self.options.classes, (len(z),), generator=generator, device=generator.device)
        embedding = self.shared.get_parameter("weight")[chosen.to(z.device)]
        noise = self.draw_noise_like(like, generator, independent=independent_noise)
        return self.render_of(z, embedding, noise, standing=not self.training)

    def adapted(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A stock file's tensors with the spectral norm folded in, and inputs for features that do not show yet.

        Raises WeightsError for another number of classes.
        """
        embeddings = state.get("shared.weight")
        if embeddings is not None and len(embeddings) != self.options.classes:
            raise WeightsError(
                f"the BigGAN prior has {len(embeddings)} classes and this network {self.options.classes};"
                f" set network.options.classes = {len(embeddings)}, or give a prior of faces alone"
            )
        plain = {name: tensor for name, tensor in state.items() if not name.endswith(_LEFT_OUT)}
        for name, tensor in state.items():
            if name.endswith(".u0"):
                weight = name.removesuffix("u0") + "weight"
                plain[weight] = plain[weight] / _largest_singular_value(plain[weight], tensor)
        if "feature.weight" in state:
            return plain
        fresh = torch.ones(1) if self.options.concat else torch.zeros(1)
        for name, expected in self.state_dict().items():
            if ".feature" in f".{name}":
                plain[name] = fresh.clone()
            elif name in plain:
                plain[name] = _widened(plain[name], expected.shape, 1.0 if name.endswith(_ONES) else 0.0)
        return plain

    @classmethod
    def recognise(cls, shapes: Shapes) -> dict[str, Any] | None:
        """The fields of `GPENConfig` (all but in_size) of such a generator; None: another network."""
        blocks = 0
        while f"blocks.{blocks}.0.conv2.weight" in shapes:
            blocks += 1
        needed = ("linear.weight", "shared.weight", "blocks.0.0.bn1.gain.weight", "output_layer.2.weight")
        if not blocks or any(name not in shapes for name in needed):
            return None
        channels = {4: int(shapes["linear.weight"][0]) // 16}
        channels |= {2 ** (i + 3): int(shapes[f"blocks.{i}.0.conv2.weight"][0]) for i in range(blocks)}
        part, (classes, shared) = int(shapes["linear.weight"][1]), shapes["shared.weight"]
        hierarchical = int(shapes["blocks.0.0.bn1.gain.weight"][1]) == int(shared) + part
        return {
            "out_size": max(channels),
            "channels": channels,
            "style_dim": part * (blocks + 1 if hierarchical else 1),
            "classes": int(classes),
            "shared_dim": int(shared),
            "attention": tuple(2 ** (i + 3) for i in range(blocks) if f"blocks.{i}.1.gamma" in shapes),
            "hierarchical": hierarchical,
            "concat": int(shapes["output_layer.2.weight"][1]) == 2 * channels[max(channels)],
            "prior": cls.name,
        }


_LEFT_OUT = (".u0", ".sv0", ".accumulation_counter")
_ONES = ("stored_var", "output_layer.0.gain")


def _largest_singular_value(weight: Tensor, left: Tensor) -> Tensor:
    """What the file's own code divides `weight` (O, …) by: one step of the power method from `left` (1, O)."""
    matrix = weight.flatten(1)
    right = F.normalize(left @ matrix, eps=1e-12)
    return (right @ matrix.t() @ F.normalize(right @ matrix.t(), eps=1e-12).t()).squeeze()


def _widened(tensor: Tensor, shape: Sequence[int], fill: float) -> Tensor:
    """`tensor` with the channels of the concatenated feature, filled with `fill`, where `shape` has twice as many."""
    for axis in range(min(tensor.ndim, 2)):
        if shape[axis] == 2 * tensor.shape[axis]:
            tensor = torch.cat([tensor, torch.full_like(tensor, fill)], dim=axis)
    return tensor
