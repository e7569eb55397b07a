"""UPSCALE_MODEL as the core's background upscaler."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..gpen_core.background import Larger, Upscaler
from ..gpen_core.errors import InputError
from ..gpen_core.images import Picture
from . import adapter
from .run import Watched

# What a tile takes in an upscaling network, in bytes per pixel of it and per unit of scale (RRDBNet, float32).
_BYTES_PER_PIXEL = 4 * 384


@dataclass(frozen=True, kw_only=True)
class Keeping(Larger):
    """Keeps what it made in `canvases`, as it was before faces were put into it, until somebody takes it out."""

    canvases: deque[NDArray[np.float32]] = field(default_factory=deque)

    def canvas(self, picture: Picture) -> Picture:
        """The picture that faces are put into."""
        made = super().canvas(picture)
        self.canvases.append(made.pixels.copy())
        return made


def enlarger(upscale_model: Any, images: Tensor) -> Larger:
    """The upscaler of an UPSCALE_MODEL (spandrel's descriptor), on the compute device.

    Raises InputError for something else.
    """
    scale = getattr(upscale_model, "scale", None)
    if scale is None or not callable(upscale_model):
        raise InputError(f"upscale_model must come from Load Upscale Model, got {type(upscale_model).__name__}")
    if scale != int(scale):
        raise InputError(f"upscale_model enlarges {scale} times; a whole number is needed")
    patcher = getattr(upscale_model, "patcher", None)
    if patcher is not None:
        adapter.load([patcher], _BYTES_PER_PIXEL * 304 * 304 * int(scale))
    else:
        upscale_model.to(adapter.compute_device())
    upscaler = Upscaler(network=Watched(upscale_model), device=adapter.compute_device())
    return Larger(scale=int(scale), upscaler=upscaler)
