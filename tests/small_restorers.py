"""Networks of a line, a face anywhere, a photograph of noise and its regions, for a FaceRestorer."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gpen_core.config import ModelCard
from gpen_core.faces.types import Detection


class Network:
    """Any function of crops, as a restorer's model; notes the size of its batches."""

    def __init__(self, function: Callable[[Tensor], Tensor], size: int = 64, out_size: int | None = None) -> None:
        self.config = SimpleNamespace(in_size=size, out_size=out_size or size)
        self.card = ModelCard(value_range=(0.0, 1.0))
        self.function = function
        self.batches: list[int] = []

    def __call__(self, x: Tensor) -> Tensor:
        self.batches.append(len(x))
        size = self.config.out_size
        return torch.nn.functional.interpolate(self.function(x), (size, size), mode="bilinear", align_corners=False)


def inverted(size: int = 64, out_size: int | None = None) -> Network:
    return Network(lambda x: 1 - x, size, out_size)


def face(x: float, y: float, side: float) -> Detection:
    marks = torch.tensor([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]])
    corner = torch.tensor([x, y])
    return Detection(box=torch.cat([corner, corner + side]), landmarks=corner + marks * side)


def photograph(height: int = 90, width: int = 120, kind: type = np.uint8) -> Any:
    values = np.random.default_rng(7).random((height, width, 3), np.float32)
    return values if kind is np.float32 else (values * np.iinfo(kind).max).astype(kind)


def labels(crops: Tensor) -> Tensor:
    """Skin, an eye at the top, hair at the left."""
    parsed = torch.ones(len(crops), *crops.shape[2:], dtype=torch.long)
    parsed[:, 180:220, 200:320] = 4
    parsed[:, :, :120] = 13
    return parsed
