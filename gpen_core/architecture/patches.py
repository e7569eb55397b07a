"""pix2pix's patch discriminator at several sizes, as Pix2PixHD has it (Wang et al. 2018, §3.2)."""

from __future__ import annotations

import itertools

import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ..config import GPENConfig
from .comparators.base import Convolution, instance_norm
from .discriminator import Judgement, Scores

WIDTH = 64
DEPTH = 3
"""How often a judge halves its picture."""


class PatchJudge(nn.Module):
    """4×4 convolutions, the first ones of stride 2; a score for each patch."""

    def __init__(self, inputs: int, *, generator: Generator | None) -> None:
        super().__init__()
        widths = [inputs, *(WIDTH * min(2**level, 8) for level in range(DEPTH + 1)), 1]
        self.convs = nn.ModuleList(
            Convolution(a, b, 4, stride=2 if level < DEPTH else 1, padding=2, generator=generator)
            for level, (a, b) in enumerate(itertools.pairwise(widths))
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """What each convolution makes of pictures `x` (B, inputs, H, W), the scores (B, 1, h, w) last."""
        outputs = []
        for level, layer in enumerate(self.convs):
            x = layer(x)
            if level < len(self.convs) - 1:
                x = F.leaky_relu(instance_norm(x) if level else x, 0.2)
            outputs.append(x)
        return outputs


class PatchDiscriminator(nn.Module):
    """Judges at the picture's own size and at half of it; real patches score higher.

    config: of the generator, for the file's header. inputs: channels: 3, or 6 where the damaged face is seen beside.
    """

    def __init__(
        self, config: GPENConfig, *, inputs: int = 3, scales: int = 2, generator: Generator | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.judges = nn.ModuleList(PatchJudge(inputs, generator=generator) for _ in range(scales))

    def features(self, x: Tensor) -> Judgement:
        """Of each judge the scores (B, patches); and the features of all, of pictures (B, inputs, S, S) in [-1, 1]."""
        scores, features = [], []
        for judge in self.judges:
            outputs = judge(x)
            scores.append(outputs[-1].flatten(1))
            features.extend(outputs[:-1])
            x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
        return Judgement(scores, features)

    def forward(self, x: Tensor) -> Scores:
        """Of each judge, the scores (B, patches) of pictures (B, inputs, S, S) in [-1, 1]."""
        return self.features(x).scores
