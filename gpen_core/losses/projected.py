"""A discriminator that already sees: small heads over frozen features (Sauer et al. 2021, "Projected GANs")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from ..architecture.discriminator import Judgement, Scores
from ..config import GPENConfig

_WIDTH = 64
# Heads shrink the finest maps first: four fifths of their work would be spent there.
_STRIDES = ((2, 2), (2, 1))
_FLOOR = 1e-2


class FeatureNetwork(Protocol):
    """A frozen network with the channels of the maps it gives."""

    @property
    def channels(self) -> tuple[int, ...]:
        """Of each map."""

    def __call__(self, x: Tensor, /) -> Sequence[Tensor]:
        """Feature maps (B, channels[i], …) of pictures (B, 3, H, W) in [-1, 1]."""


class ProjectedDiscriminator(nn.Module):
    """Tells real faces from made ones by a head at each depth of `backbone`; real ones score above zero.

    Each map is brought to one length per position, mixed by a fixed random projection (so that a head can't settle on a
    few channels), and judged by three convolutions under spectral norm. From the first step on it sees what a
    discriminator from scratch learns in thousands.
    config: of the generator, for the file's header. backbone: frozen, no part of the state dict.
    """

    def __init__(self, config: GPENConfig, backbone: FeatureNetwork, *, generator: Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.heads = nn.ModuleList()
        for depth, channels in enumerate(backbone.channels):
            mixing = torch.randn(_WIDTH, channels, 1, 1, generator=generator) / channels**0.5
            self.register_buffer(f"mixing{depth}", mixing)
            first, second = _STRIDES[depth] if depth < len(_STRIDES) else (1, 1)
            self.heads.append(
                nn.Sequential(
                    _convolution(_WIDTH, 3, first, generator),
                    nn.LeakyReLU(0.2),
                    _convolution(_WIDTH, 3, second, generator),
                    nn.LeakyReLU(0.2),
                    _convolution(1, 1, 1, generator),
                )
            )

    def features(self, x: Tensor) -> Judgement:
        """Of each head the scores (B, positions), and the backbone's features, of pictures (B, 3, S, S) in [-1, 1]."""
        seen = list(self.backbone(x))
        scores = []
        for depth, (feature, head) in enumerate(zip(seen, self.heads, strict=True)):
            even = feature * torch.rsqrt(feature.square().mean(1, keepdim=True) + _FLOOR)
            scores.append(head(F.conv2d(even, self.get_buffer(f"mixing{depth}").to(even.dtype))).flatten(1))
        return Judgement(scores, seen)

    def forward(self, x: Tensor) -> Scores:
        """Of each head, the scores (B, positions) of pictures (B, 3, S, S) in [-1, 1]."""
        return self.features(x).scores


def _convolution(outputs: int, size: int, stride: int, generator: Generator | None) -> nn.Module:
    """A spectrally normalised convolution of `_WIDTH` channels, drawn from `generator`."""
    layer = nn.Conv2d(_WIDTH, outputs, size, stride, size // 2, bias=False)
    nn.init.kaiming_uniform_(layer.weight, a=5**0.5, generator=generator)
    # Its power iteration starts from torch's own random numbers, which are left as they were.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (), generator=generator)))
        return spectral_norm(layer)
