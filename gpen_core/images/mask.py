"""Masks that come as pictures: white is what is meant."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import InputError
from .arrays import as_picture
from .picture import to_depth


def as_mask(mask: Any, size: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W) in [0, 1] of a mask given as a path, a PIL image, or an array or tensor (H, W): white is 1.

    size: (height, width) of the picture that it is for. Raises InputError, naming both sizes, for a mask of another
    picture.
    """
    if isinstance(mask, torch.Tensor) and mask.ndim == 2:
        mask = mask[None]
    if isinstance(mask, np.ndarray | torch.Tensor) and str(mask.dtype).endswith("bool"):
        mask = mask.astype(np.float32) if isinstance(mask, np.ndarray) else mask.float()
    planes = as_picture(mask).pixels
    if planes.shape[:2] != size:
        raise InputError(
            f"the mask is {planes.shape[1]}×{planes.shape[0]}, the picture {size[1]}×{size[0]}; a mask has its "
            "picture's size"
        )
    unit: NDArray[np.float32] = to_depth(planes, np.float32).mean(2, dtype=np.float32).clip(0, 1)
    return unit
