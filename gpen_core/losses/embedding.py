"""Identity and perceptual distances, with any network that turns pictures into embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import ConfigError

Embedding = Callable[[Tensor], "Tensor | Sequence[Tensor]"]
Distance = Literal["cosine", "l1"]


class EmbeddingLoss:
    """Distance between what a frozen network sees in a result and in its original.

    network: takes (B, 3, S, S) in [-1, 1]; returns one embedding (B, …) or several (blocks of a perceptual network).
    size: pictures are resized to it (area when shrinking, else bilinear); region: top, bottom, left, right as
    fractions of the side.
    distance: "cosine" is 1 - cosine of the flattened embeddings (identity), "l1" the mean absolute difference
    (perceptual).
    """

    def __init__(
        self,
        network: Embedding,
        *,
        size: int | None = None,
        region: tuple[float, float, float, float] | None = None,
        distance: Distance = "cosine",
    ) -> None:
        if distance not in get_args(Distance):
            raise ConfigError(f"distance is {distance!r}; it must be one of {', '.join(get_args(Distance))}")
        if region is not None and not (0 <= region[0] < region[1] <= 1 and 0 <= region[2] < region[3] <= 1):
            raise ConfigError(f"region is {region}; it must be top < bottom and left < right within 0 and 1")
        if isinstance(network, nn.Module):
            network.eval().requires_grad_(False)
        self._network, self._size, self._region, self._distance = network, size, region, distance

    def __call__(self, result: Tensor, target: Tensor) -> Tensor:
        """Scalar loss of `result` (B, 3, S, S) in [-1, 1]; no gradient reaches `target`."""
        seen = self._embed(result)
        with torch.no_grad():
            wanted = self._embed(target)
        losses = []
        for s, w in zip(seen, wanted, strict=True):
            if self._distance == "cosine":
                losses.append(1 - F.cosine_similarity(s.flatten(1).float(), w.flatten(1).float(), dim=1).mean())
            else:
                losses.append(F.l1_loss(s.float(), w.float()))
        return torch.stack(losses).sum()

    def _embed(self, pictures: Tensor) -> list[Tensor]:
        if self._region is not None:
            height, width = pictures.shape[-2:]
            top, bottom, left, right = self._region
            pictures = pictures[
                ..., round(top * height) : round(bottom * height), round(left * width) : round(right * width)
            ]
        if self._size is not None and pictures.shape[-1] != self._size:
            shrinking = pictures.shape[-1] > self._size
            pictures = F.interpolate(
                pictures,
                (self._size, self._size),
                mode="area" if shrinking else "bilinear",
                align_corners=None if shrinking else False,
            )
        embedding = self._network(pictures)
        return [embedding] if isinstance(embedding, Tensor) else list(embedding)
