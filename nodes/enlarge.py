"""UPSCALE_MODEL as the core's background upscaler."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..gpen_core.background import Upscaler, enlarged
from ..gpen_core.errors import InputError
from ..gpen_core.images import as_picture
from . import adapter
from .run import Watched

# What a tile takes in an upscaling network, in bytes per pixel of it and per unit of scale (RRDBNet, float32).
_BYTES_PER_PIXEL = 4 * 384


class Enlarge:
    """Enlarges pictures `scale` times: by an upscaling network, and plainly."""

    def __init__(self, descriptor: Any, scale: int) -> None:
        self.scale = scale
        self._upscale = Upscaler(network=Watched(descriptor), device=adapter.compute_device())

    def canvas(self, frame: NDArray[np.float32]) -> NDArray[np.float32]:
        """(H·scale, W·scale, 3): the enlarged picture that its faces are pasted into."""
        pixels: NDArray[np.float32] = self._upscale(as_picture(frame), self.scale).pixels
        return pixels

    def plain(self, frame: NDArray[np.float32]) -> NDArray[np.float32]:
        """(H·scale, W·scale, 3): the picture that its faces are cut from."""
        pixels: NDArray[np.float32] = enlarged(as_picture(frame), self.scale).pixels
        return pixels


def enlarger(upscale_model: Any, images: Tensor) -> Enlarge:
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
    return Enlarge(upscale_model, int(scale))
