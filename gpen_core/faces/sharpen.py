"""Unsharp masking of restored faces, by as much as the network had to change them."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional as F

from ..images.planes import fine_structure, resize


def changed(before: Tensor, after: Tensor) -> Tensor:
    """(N,) in [0, 1]: how much of the fine structure of `after` (N, 3, T, T) was not in `before` (N, 3, S, S).

    It is 1 - r, r being the correlation of the two pictures' differences from their means of 5×5 pixels: near 0 for a
    face that was good already, 0.6 and more where blur or noise had left nothing of it.
    """
    ours, theirs = fine_structure(resize(before, after.shape[-1]), 5).flatten(1), fine_structure(after, 5).flatten(1)
    return 1 - F.cosine_similarity(ours, theirs, dim=1).clamp(0, 1)


def sharpened(restored: Tensor, crops: Tensor, amount: float) -> Tensor:
    """Restored faces (N, 3, T, T) with their difference from the mean of 3×3 pixels stronger by `amount` times what of
    the `crops` (N, 3, S, S) was changed; no value leaves the range of the 5×5 around it, so edges get no rim.
    """
    gain = amount * changed(crops, restored)
    stronger = restored + gain[:, None, None, None] * fine_structure(restored, 3)
    return stronger.clamp(_around(restored, torch.minimum), _around(restored, torch.maximum))


def _around(pictures: Tensor, pick: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The least or greatest of the 5×5 values around each pixel; on a CPU far quicker than a pooling layer."""
    for dim, edges in ((-1, (2, 2, 0, 0)), (-2, (0, 0, 2, 2))):
        padded, length = F.pad(pictures, edges, mode="replicate"), pictures.shape[dim]
        pictures = reduce(pick, (padded.narrow(dim, start, length) for start in range(5)))
    return pictures
