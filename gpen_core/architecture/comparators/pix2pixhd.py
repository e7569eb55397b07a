"""Pix2PixHD's generator (Wang et al. 2018): a global network of residual blocks, and a local enhancer around it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ...config import GPENConfig, PriorOptions
from ...errors import ConfigError
from ..generator import Shapes
from .base import Comparator, Convolution, instance_norm, mirrored

DEPTH = 4
"""How often the global network halves its picture."""


@dataclass(frozen=True, kw_only=True)
class Pix2PixHDOptions(PriorOptions):
    """blocks: residual blocks of the global network; local_blocks: of the enhancer around it (0: there is none).

    The first convolution's width is the channel table's at its own size; it doubles with each halving.
    """

    blocks: int = 9
    local_blocks: int = 0

    UNSEEN: ClassVar[tuple[str, ...]] = (*PriorOptions.UNSEEN, "style_dim", "channels", "concat")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.blocks < 1 or self.local_blocks < 0:
            raise ConfigError(
                f"blocks is {self.blocks} and local_blocks {self.local_blocks}; they must be at least 1 and 0"
            )


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with instance norms, added to what they were given."""

    def __init__(self, channels: int, *, generator: Generator | None) -> None:
        super().__init__()
        self.conv1, self.conv2 = (Convolution(channels, channels, 3, generator=generator) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """The shape of `x` (B, C, H, W)."""
        out = F.relu(instance_norm(self.conv1(mirrored(x, 1))))
        return x + instance_norm(self.conv2(mirrored(out, 1)))


class Hourglass(nn.Module):
    """7×7 convolution, `depth` halvings, residual blocks, as many doublings: features of the picture's own size."""

    def __init__(self, width: int, depth: int, blocks: int, *, generator: Generator | None) -> None:
        super().__init__()
        self.start = Convolution(3, width, 7, generator=generator)
        widths = [width << level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            Convolution(a, b, 3, stride=2, generator=generator) for a, b in itertools.pairwise(widths)
        )
        self.blocks = nn.ModuleList(ResidualBlock(widths[-1], generator=generator) for _ in range(blocks))
        self.up = nn.ModuleList(
            Convolution(b, a, 3, up=True, generator=generator) for a, b in reversed(list(itertools.pairwise(widths)))
        )

    def forward(self, x: Tensor, inside: Tensor | None = None) -> Tensor:
        """(B, width, H, W) from pictures `x` (B, 3, H, W). inside: added where it is smallest."""
        x = F.relu(instance_norm(self.start(mirrored(x, 3))))
        for layer in self.down:
            x = F.relu(instance_norm(layer(x)))
        if inside is not None:
            x = x + inside
        for block in self.blocks:
            x = block(x)
        for layer in self.up:
            x = F.relu(instance_norm(layer(x)))
        return x


class Pix2PixHD(Comparator):
    """The global generator, or (`local_blocks`) the enhancer at full size around the global one at half of it."""

    name: ClassVar[str] = "pix2pixhd"
    Options = Pix2PixHDOptions
    options: Pix2PixHDOptions

    def __init__(self, config: GPENConfig, *, generator: Generator | None = None) -> None:
        super().__init__(config, generator=generator)
        options = self.options
        smallest = 2 ** (DEPTH + 1 + bool(options.local_blocks))
        if config.in_size < smallest:
            raise ConfigError(f"in_size is {config.in_size}; Pix2PixHD of this kind takes {smallest} px or more")
        width = self.channels[config.in_size]
        inner = 2 * width if options.local_blocks else width
        self.coarse = Hourglass(inner, DEPTH, options.blocks, generator=generator)
        if options.local_blocks:
            self.local = Hourglass(width, 1, options.local_blocks, generator=generator)
        self.picture = Convolution(width, 3, 7, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Restored faces (B, 3, S, S) in [-1, 1]."""
        if self.options.local_blocks:
            half = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            out = self.local(x, self.coarse(half))
        else:
            out = self.coarse(x)
        return torch.tanh(self.picture(mirrored(out, 3)))

    @classmethod
    def recognise(cls, shapes: Shapes) -> dict[str, Any] | None:
        """By its hourglasses. Their shapes do not tell the size: it is taken as 256, unless a header says it."""
        if "coarse.start.weight" not in shapes or "picture.weight" not in shapes:
            return None
        counts = {}
        for part in ("coarse", "local"):
            counts[part] = 0
            while f"{part}.blocks.{counts[part]}.conv1.weight" in shapes:
                counts[part] += 1
        channels = dict.fromkeys((4, 8, 16, 32, 64, 128, 256), int(shapes["picture.weight"][1]))
        return {
            "in_size": 256,
            "out_size": 256,
            "channels": channels,
            "blocks": counts["coarse"],
            "local_blocks": counts["local"],
            "prior": cls.name,
        }
