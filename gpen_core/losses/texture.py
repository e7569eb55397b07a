"""How differently two pictures are textured: skin, hair, cloth, wherever in a window each thread of it lies.

Covariances of features are what texture is to a frozen network (Gatys et al. 2015); taken in windows, since cheek and
hair differ. A distance of pixels or of features at a position is smallest for the mean of all threads that could be
there, which is none; this one is smallest for as much texture as the original has.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .perceptual import Backbone

WINDOW = 32
"""Side of a window, pixels of the picture."""
DEPTHS = 3
"""The finest feature maps, of so many; coarser ones see parts of a face rather than what it is made of."""
# A window's texture counts relative to itself, and to this share of the picture's: a blank wall must not outweigh all.
_FLOOR = 0.05


def window_covariances(features: Tensor, size: int) -> Tensor:
    """(B, C, H, W) → (B, windows, C, C): how the channels vary together within each square of `size` positions."""
    batch, channels, height, width = features.shape
    rows, columns = height // size, width // size
    cut = features.float()[:, :, : rows * size, : columns * size].reshape(batch, channels, rows, size, columns, size)
    cut = cut.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, channels, size * size)
    cut = cut - cut.mean(-1, keepdim=True)
    return cut @ cut.mT / size**2


def texture_distance(seen: Sequence[Tensor], wanted: Sequence[Tensor], side: int) -> Tensor:
    """(B,): how long the difference of the covariances is beside the wanted ones', averaged over windows, then depths.

    seen, wanted: feature maps of two batches of pictures of `side` pixels, finest first. 0 for the same texture, about
    1 where there is none.
    """
    distances = []
    for s, w in list(zip(seen, wanted, strict=True))[:DEPTHS]:
        size = min(s.shape[-1], max(2, WINDOW * s.shape[-1] // side))
        mine, theirs = window_covariances(s, size), window_covariances(w, size)
        length = torch.linalg.matrix_norm(theirs)
        difference = ((mine - theirs).square().sum((-1, -2)) + 1e-12).sqrt()
        distances.append((difference / (length + _FLOOR * length.mean(1, keepdim=True) + 1e-6)).mean(1))
    return torch.stack(distances).mean(0)


class TextureLoss:
    """Mean `texture_distance` of results and originals, by one backbone."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone

    def __call__(self, result: Tensor, target: Tensor) -> Tensor:
        """Scalar loss of `result` (B, 3, S, S) in [-1, 1]; no gradient reaches `target`."""
        with torch.no_grad():
            wanted = self._backbone(target)
        return texture_distance(self._backbone(result), wanted, result.shape[-1]).mean()
