"""How far the landmarks of a restored face lie from the original's."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..weights.load import load_detector
from ..weights.zoo import OPEN_DETECTOR

#: Distances are given as in a crop of this size.
_SIZE = 512
#: Least score of a face.
_SURE = 0.5


def landmark_distance() -> Callable[[Tensor, Tensor], Tensor]:
    """Mean distance of five landmarks, in pixels of a 512 crop, as a function of (result, original) in [0, 1], giving
    (B,): NaN where the detector that ships finds no face in one of the two."""
    detector = load_detector(OPEN_DETECTOR)

    def found(pictures: Tensor) -> list[Tensor | None]:
        # Best score first; an aligned crop shows one face.
        best = [next(iter(faces), None) for faces in detector(pictures.float())]
        return [face.landmarks if face is not None and face.score >= _SURE else None for face in best]

    def distance(result: Tensor, target: Tensor) -> Tensor:
        scale = _SIZE / target.shape[-1]
        values = [
            math.nan if own is None or wanted is None else float((own - wanted).norm(dim=1).mean()) * scale
            for own, wanted in zip(found(result), found(target), strict=True)
        ]
        return torch.tensor(values, dtype=torch.float64)

    return distance
