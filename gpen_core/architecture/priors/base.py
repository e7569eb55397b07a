"""What a GAN prior must offer to be embedded as GPEN's decoder."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor, nn

from ...config import GPENConfig
from ..folded import FoldedModule

Shapes = Mapping[str, Sequence[int]]
Features = Mapping[int, Sequence[Tensor]]


class Prior(nn.Module, ABC):
    """A generator whose noise inputs can be fed by an encoder's features.

    A new prior is one file and one line in `PRIORS`: the encoder is built from this table, and a file of weights is
    recognised by it. `generator` draws the initial parameters. They stand
    under `generator.` in a GPEN, with the names of that prior's usual weights.
    """

    name: ClassVar[str]
    """Of the prior in `PRIORS` and in a configuration."""

    def __init__(self, config: GPENConfig, *, generator: Generator | None = None) -> None:
        super().__init__()
        self.config = config
        self.latent_dim = config.style_dim
        self.resolutions = config.resolutions
        self.channels = dict(config.channels)

    @property
    @abstractmethod
    def feature_inputs(self) -> Mapping[int, int]:
        """How many inputs at each resolution take a feature (0: none)."""

    @abstractmethod
    def forward(self, latent: Tensor, features: Features) -> Tensor:
        """Pictures (B, 3, S, S) from `latent` (B, latent_dim) and `feature_inputs[r]` features for each resolution r.

        A feature is (B or 1, channels[r], r, r).
        """

    def prepared(self, dtype: torch.dtype) -> FoldedModule | None:
        """This prior's inference form computing in `dtype`, called with (latent float32, features, workspace).

        None: it has none, and `PreparedGPEN` runs the prior as it is (and says so: its `form` is "plain decoder").
        """
        return None

    @classmethod
    @abstractmethod
    def recognise(cls, shapes: Shapes) -> dict[str, Any] | None:
        """The fields of `GPENConfig` (all but in_size) that such tensors belong to; None: not this prior."""

    def draw_noise(
        self,
        batch: int,
        *,
        generator: Generator | None = None,
        independent: bool = False,
        resolutions: Sequence[int] | None = None,
        device: torch.device | None = None,
    ) -> dict[int, tuple[Tensor, ...]]:
        """Gaussian features (batch, channels[r], r, r), drawn in the order of use on the generator's device.

        The inputs of a block share one draw, as they will share the encoder's feature, or (`independent`) do not.
        """
        source = generator.device if generator is not None else device
        features: dict[int, tuple[Tensor, ...]] = {}
        for r in resolutions if resolutions is not None else self.resolutions:
            count = self.feature_inputs[r]
            draws = [
                torch.randn(batch, self.channels[r], r, r, generator=generator, device=source).to(device)
                for _ in range(count if independent else min(count, 1))
            ]
            features[r] = tuple(draws) if independent else tuple(draws * count)
        return features
