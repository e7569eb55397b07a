"""How alike two pictures look to a network that was trained for something else."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ..losses import perceptual_distance
from ..weights.load import load_detector
from ..weights.zoo import OPEN_DETECTOR

Features = Callable[[Tensor], Sequence[Tensor]]

# What RetinaFace subtracts: mean blue, green and red, of 255.
_BGR_MEAN = (104.0, 117.0, 123.0)


def feature_distance(features: Features) -> Callable[[Tensor, Tensor], Tensor]:
    """1 − cosine of the features at every position, averaged over positions, then over depths (cf. Zhang et al. 2018).

    As a function of (result, original), both (B, 3, H, W) in [0, 1], giving (B,): 0 for equal pictures.
    features: pictures in [0, 1] → maps (B, C, h, w), one a depth.
    """

    def distance(result: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            return perceptual_distance(features(result.float()), features(target.float()))

    return distance


class DetectorFeatures:
    """What the backbone of the face detector that ships sees at its five depths, of strides 2 to 32.

    It judges what another network's features have trained, and needs no download.
    """

    def __init__(self) -> None:
        body = load_detector(OPEN_DETECTOR, device="cpu").network.get_submodule("body")
        self._blocks: list[nn.Module] = [block for stage in body.children() for block in stage.children()]

    def __call__(self, pictures: Tensor) -> list[Tensor]:
        """pictures: (B, 3, H, W) RGB in [0, 1]."""
        for block in self._blocks:
            block.to(pictures.device)
        x = pictures.flip(1) * 255 - pictures.new_tensor(_BGR_MEAN)[:, None, None]
        depths: list[Tensor] = []
        for block in self._blocks:
            before, x = x, block(x)
            if x.shape[-1] < before.shape[-1] and before.shape[1] > 3:
                depths.append(before)
        return [*depths, x]
