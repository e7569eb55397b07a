"""StyleGAN2's residual discriminator, with the minibatch deviation over the whole batch as GPEN has it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from torch import Generator, Tensor, nn

from ..config import GPENConfig
from .gpen import check_input
from .layers import ConvLayer, EqualizedLinear
from .operators import minibatch_deviation

Scores = Tensor | Sequence[Tensor]
"""(B, 1) of a whole picture, or of each of several heads (B, positions); real pictures score higher."""


class Judgement(NamedTuple):
    """Scores, and the output of every block, largest resolution first."""

    scores: Scores
    features: list[Tensor]


class ResidualBlock(nn.Module):
    """Two convolutions beside a 1×1 skip; halves the size."""

    def __init__(self, inputs: int, outputs: int, *, generator: Generator | None = None) -> None:
        super().__init__()
        self.conv1 = ConvLayer(inputs, inputs, 3, generator=generator)
        self.conv2 = ConvLayer(inputs, outputs, 3, down=True, generator=generator)
        self.skip = ConvLayer(inputs, outputs, 1, down=True, activate=False, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """(B, outputs, H/2, W/2) from `x` (B, inputs, H, W)."""
        out: Tensor = (self.conv2(self.conv1(x)) + self.skip(x)) / math.sqrt(2)
        return out


class Discriminator(nn.Module):
    """Tells real faces (positive scores) from made ones.

    config: out_size and channels are used. group: samples compared by the minibatch deviation; None: the whole batch.
    """

    def __init__(self, config: GPENConfig, *, group: int | None = None, generator: Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.group = group
        sizes = config.resolutions[::-1]
        channels = config.channels
        blocks: list[nn.Module] = [ConvLayer(3, channels[sizes[0]], 1, generator=generator)]
        for size, half in itertools.pairwise(sizes):
            blocks.append(ResidualBlock(channels[size], channels[half], generator=generator))
        self.convs = nn.Sequential(*blocks)
        self.final_conv = ConvLayer(channels[4] + 1, channels[4], 3, generator=generator)
        self.final_linear = nn.Sequential(
            EqualizedLinear(channels[4] * 16, channels[4], activate=True, generator=generator),
            EqualizedLinear(channels[4], 1, generator=generator),
        )

    def features(self, x: Tensor) -> Judgement:
        """Scores and the features that feature matching compares, of pictures (B, 3, out_size, out_size)."""
        weight = self.get_parameter("convs.0.0.weight")
        check_input(x, self.config.out_size, weight.device)
        x = x.to(weight.dtype)
        outputs = []
        for block in self.convs:
            x = block(x)
            outputs.append(x)
        x = self.final_conv(minibatch_deviation(x, self.group))
        scores = self.final_linear(x.flatten(1))
        return Judgement(scores, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Scores (B, 1) of pictures (B, 3, out_size, out_size) in [-1, 1]."""
        scores = self.features(x).scores
        assert isinstance(scores, Tensor)
        return scores
