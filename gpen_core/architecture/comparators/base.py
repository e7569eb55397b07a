"""What a whole network must offer, and the plain layers that the published comparators are made of."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ...config import GPENConfig
from ...errors import ConfigError
from ..generator import GeneratorPart, Shapes
from ..layers import normal

DEVIATION = 0.02
"""Of initial weights, as published for pix2pix and Pix2PixHD."""


class Comparator(GeneratorPart):
    """A network that takes the damaged face itself. A new one is one file and one line in `COMPARATORS`."""

    whole: ClassVar[bool] = True

    def __init__(self, config: GPENConfig, *, generator: Generator | None = None) -> None:
        super().__init__(config)
        if config.in_size != config.out_size:
            raise ConfigError(
                f"the network {self.name!r} keeps the size; in_size is {config.in_size} and out_size {config.out_size}"
            )

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Restored faces (B, 3, S, S) of damaged ones, both in the card's value range."""

    @classmethod
    @abstractmethod
    def recognise(cls, shapes: Shapes) -> dict[str, Any] | None:
        """The fields of `GPENConfig` that such tensors belong to, as far as they tell; None: another network."""


class Convolution(nn.Module):
    """A convolution, or a transposed one that doubles the size; Gaussian weights, bias.

    padding: None: 1 where the stride is 2, and none where the picture is padded before.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        *,
        stride: int = 1,
        padding: int | None = None,
        up: bool = False,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        shape = (inputs, outputs) if up else (outputs, inputs)
        self.weight = normal(*shape, size, size, generator=generator, scale=DEVIATION)
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.stride, self.up = stride, up
        self.padding = padding if padding is not None else int(stride == 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, outputs, H', W') from `x` (B, inputs, H, W)."""
        if self.up:
            odd = self.weight.shape[-1] % 2
            return F.conv_transpose2d(x, self.weight, self.bias, stride=2, padding=1, output_padding=odd)
        return F.conv2d(x, self.weight, self.bias, stride=self.stride, padding=self.padding)


def instance_norm(x: Tensor) -> Tensor:
    """`x` (B, C, H, W) with mean 0 and variance 1 in each channel; a single place stays as it is."""
    return F.instance_norm(x) if x.shape[-1] > 1 else x


def mirrored(x: Tensor, width: int) -> Tensor:
    """`x` with so many pixels of itself mirrored around it."""
    return F.pad(x, (width, width, width, width), mode="reflect")
