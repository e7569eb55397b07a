"""One aligned face through a network, at the face's own size."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from ..images.picture import FULL_SCALE
from ..images.resize import resize
from ..restore import Model
from ..restore.run import device_of


def run_aligned(model: Model, pixels: NDArray[Any]) -> NDArray[Any]:
    """(S, S, 3) RGB of the kind and size of `pixels`: what the network makes of one aligned face.

    A face of another size than the network's is resized to it and its result back, both antialiased.
    Raises InputError where the face is not square.
    """
    height, width = pixels.shape[:2]
    if height != width:
        raise InputError(
            f"an aligned face is square; this one is {width}×{height}; for photographs leave out --aligned"
        )
    full = FULL_SCALE[pixels.dtype.name]
    face = torch.from_numpy(pixels.astype(np.float32) / full).permute(2, 0, 1)[None]
    result = run_unit(model, resize(face, model.config.in_size))
    planes = resize(result, height)[0].permute(1, 2, 0).clamp(0, 1).numpy() * full
    if pixels.dtype.kind == "u":
        planes = np.rint(planes)
    same_kind: NDArray[Any] = planes.astype(pixels.dtype)
    return same_kind


def run_unit(model: Model, faces: Tensor) -> Tensor:
    """(N, 3, T, T) float32 on the CPU, unclamped: the network's result for `faces` (N, 3, S, S), both in [0, 1]."""
    low, high = model.card.value_range
    with torch.inference_mode():
        result = model(faces.to(device_of(model)) * (high - low) + low)
    # Cloned outside: a tensor made in inference mode could never be trained on or altered in place.
    return ((result.float().cpu() - low) / (high - low)).clone()
