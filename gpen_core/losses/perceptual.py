"""How differently two pictures look to a frozen network (after Zhang et al. 2018, without its learnt weights)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

Backbone = Callable[[Tensor], Sequence[Tensor]]
"""(B, 3, H, W) in [-1, 1] → feature maps (B, C, h, w), finest first; frozen."""


def perceptual_distance(seen: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """(B,): 1 − cosine of the features at each position, averaged over positions, then over depths.

    seen, wanted: feature maps of two batches of pictures, depth by depth. 0 for the same picture, at most 2.
    """
    distances = [
        1 - F.cosine_similarity(s.float(), w.float(), dim=1, eps=1e-4).mean((1, 2))
        for s, w in zip(seen, wanted, strict=True)
    ]
    return torch.stack(distances).mean(0)


class PerceptualLoss:
    """Mean `perceptual_distance` of results and originals, by one backbone."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone

    def __call__(self, result: Tensor, target: Tensor) -> Tensor:
        """Scalar loss of `result` (B, 3, S, S) in [-1, 1]; no gradient reaches `target`."""
        with torch.no_grad():
            wanted = self._backbone(target)
        return perceptual_distance(self._backbone(result), wanted).mean()
