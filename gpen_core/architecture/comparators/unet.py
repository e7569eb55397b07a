"""pix2pix's U-Net (Isola et al. 2017): down to one place, up again, every size joined with its counterpart.

Norms are those of each picture, and the dropout that stood for noise is left out: a result is the same every time, and
does not depend on batch-mates.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ...config import GPENConfig, PriorOptions
from ..generator import Shapes
from .base import Comparator, Convolution, instance_norm


@dataclass(frozen=True, kw_only=True)
class UNetOptions(PriorOptions):
    """None beside its channel table, which begins at half the size; there is no latent code."""

    UNSEEN: ClassVar[tuple[str, ...]] = (*PriorOptions.UNSEEN, "style_dim", "channels", "concat")


class UNet(Comparator):
    """A convolution of stride 2 for each size down to 1×1, and a transposed one back."""

    name: ClassVar[str] = "unet"
    Options = UNetOptions

    def __init__(self, config: GPENConfig, *, generator: Generator | None = None) -> None:
        super().__init__(config, generator=generator)
        sizes = [config.in_size >> level for level in range(1, config.in_size.bit_length())]
        widths = [3, *(self.channels[max(size, 4)] for size in sizes)]
        self.down = nn.ModuleList(
            Convolution(a, b, 4, stride=2, generator=generator) for a, b in itertools.pairwise(widths)
        )
        self.up = nn.ModuleList()
        for level in reversed(range(len(sizes))):
            inputs = widths[level + 1] * (1 if level == len(sizes) - 1 else 2)
            self.up.append(Convolution(inputs, widths[level], 4, up=True, generator=generator))

    def forward(self, x: Tensor) -> Tensor:
        """Restored faces (B, 3, S, S) in [-1, 1]."""
        kept = []
        for level, layer in enumerate(self.down):
            x = layer(F.leaky_relu(x, 0.2) if level else x)
            x = instance_norm(x) if level else x
            kept.append(x)
        x = kept.pop()
        for layer in self.up:
            x = layer(F.relu(x))
            if kept:
                x = torch.cat([kept.pop(), instance_norm(x)], dim=1)
        return torch.tanh(x)

    @classmethod
    def recognise(cls, shapes: Shapes) -> dict[str, Any] | None:
        """By its two ladders of 4×4 convolutions."""
        levels = 0
        while f"down.{levels}.weight" in shapes and f"up.{levels}.weight" in shapes:
            levels += 1
        if levels < 3 or tuple(shapes["down.0.weight"][1:]) != (3, 4, 4):
            return None
        size = 2**levels
        table = {size >> (level + 1): int(shapes[f"down.{level}.weight"][0]) for level in range(levels)}
        channels = {size: table[size // 2], **{r: c for r, c in table.items() if r >= 4}}
        return {"in_size": size, "out_size": size, "channels": channels, "prior": cls.name}
