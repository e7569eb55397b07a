"""How differently two pictures are textured: skin, hair, cloth, wherever in a window each thread of it lies.

Covariances of features are what texture is to a frozen network (Gatys et al. 2015); taken in windows, since cheek and
hair differ, and of the fine structure alone, since a contour outweighs all pores. A distance of pixels or of features
at a position is smallest for the mean of all threads that could be there, which is none; this one is smallest for as
much texture as the original has.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..images.planes import fine_structure, luma
from .perceptual import Backbone

WINDOW = 32
"""Side of a window, pixels of the picture."""
DEPTHS = 3
"""The finest feature maps, of so many; coarser ones see parts of a face rather than what it is made of."""
# A window's texture counts relative to itself, and to this share of the picture's: a blank wall must not outweigh all.
_FLOOR = 0.1


def derivatives(pictures: Tensor) -> Tensor:
    """(B, 3, H, W) → (B, 5, H − 2, W − 2): first and second differences of the brightness, to the right and downwards,
    and the mixed one: what no backbone with a stride of 2 sees of the finest structure.
    """
    grey = luma(pictures.float())
    right, down = grey - grey.roll(1, 3), grey - grey.roll(1, 2)
    second = (right - right.roll(-1, 3), down - down.roll(-1, 2), right - right.roll(1, 2))
    return torch.cat([right, down, *second], 1)[..., 1:-1, 1:-1]


def fine_maps(pictures: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
    """The derivatives of pictures (B, 3, S, S), and their finest feature maps without the mean around each position."""
    return [derivatives(pictures), *(fine_structure(f, 3) for f in features[:DEPTHS])]


def window_covariances(features: Tensor, size: int) -> Tensor:
    """(B, C, H, W) → (B, windows, C, C): how the channels vary together within each square of `size` positions."""
    batch, channels, height, width = features.shape
    rows, columns = height // size, width // size
    cut = features.float()[:, :, : rows * size, : columns * size].reshape(batch, channels, rows, size, columns, size)
    cut = cut.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, channels, size * size)
    cut = cut - cut.mean(-1, keepdim=True)
    return cut @ cut.mT / size**2


def texture_distance(seen: Sequence[Tensor], wanted: Sequence[Tensor], side: int) -> Tensor:
    """(B,): how long the difference of the covariances is beside the mean length of both, averaged over windows, then
    maps.

    seen, wanted: maps (B, C, H, W) of two batches of pictures of `side` pixels. 0 for the same texture, 2 where one
    has none.
    """
    distances = []
    for s, w in zip(seen, wanted, strict=True):
        size = min(s.shape[-1], max(2, WINDOW * s.shape[-1] // side))
        mine, theirs = window_covariances(s, size), window_covariances(w, size)
        lengths, difference = _length(mine) + _length(theirs), _length(mine - theirs)
        floor = _FLOOR * _length(theirs).mean(1, keepdim=True) + 1e-6
        distances.append((2 * difference / (lengths + floor)).mean(1))
    return torch.stack(distances).mean(0)


def _length(matrices: Tensor) -> Tensor:
    """Frobenius norms, with a gradient at 0 too."""
    return (matrices.square().sum((-1, -2)) + 1e-12).sqrt()


class TextureLoss:
    """Mean `texture_distance` of results and originals, in their own fine structure and by one backbone.

    power: of each picture's distance; above 1, pictures that already have their texture are asked for less of it.
    """

    def __init__(self, backbone: Backbone, *, power: float = 1.0) -> None:
        self._backbone, self._power = backbone, power

    def __call__(self, result: Tensor, target: Tensor) -> Tensor:
        """Scalar loss of `result` (B, 3, S, S) in [-1, 1]; no gradient reaches `target`."""
        with torch.no_grad():
            wanted = fine_maps(target, self._backbone(target))
        distances = texture_distance(fine_maps(result, self._backbone(result)), wanted, result.shape[-1])
        return distances.pow(self._power).mean()


def likeness_distance(seen: Tensor, wanted: Tensor) -> Tensor:
    """(B,): 1 less the correlation of two maps (B, C, H, W) within each window, averaged over windows, the stronger in
    `wanted` counting for more. 0 where one is a multiple of the other, however faint.
    """
    size = min(seen.shape[-1], WINDOW)
    height, width = (side // size * size for side in seen.shape[-2:])

    def sums(maps: Tensor) -> Tensor:
        return F.avg_pool2d(maps[..., :height, :width].sum(1, keepdim=True), size) + 1e-8

    theirs = sums(wanted.square())
    alike = sums(seen * wanted) / (sums(seen.square()) * theirs).sqrt()
    weights = theirs.sqrt()
    return 1 - (alike * weights).sum((1, 2, 3)) / weights.sum((1, 2, 3))


class LikenessLoss:
    """How little the derivatives of results are those of the originals, whatever their strength.

    A distance of pixels is least where the result is as faint as it is uncertain; this one asks only that lines stand
    where the original's do, and leaves to `TextureLoss` how strong they are.
    """

    def __call__(self, result: Tensor, target: Tensor) -> Tensor:
        """Scalar loss of `result` (B, 3, S, S) in [-1, 1]; no gradient reaches `target`."""
        with torch.no_grad():
            wanted = derivatives(target)
        return likeness_distance(derivatives(result), wanted).mean()
