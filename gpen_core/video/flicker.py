"""How much restored faces flicker: the mean absolute second difference over time, after alignment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

#: Every so many-th pixel is looked at; what differs from frame to frame does so everywhere.
_STEP = 4
_KEPT = 2


class Flicker:
    """Sums up, frame by frame, how restored crops change along each track, weighted by their masks.

    Crops are straightened already, so what is left of the face's motion is its expression.
    """

    def __init__(self) -> None:
        self._last: dict[int, list[Tensor]] = {}
        self._sums = [0.0, 0.0]
        self._weight = 0.0

    @property
    def without_smoothing(self) -> float | None:
        """Of the crops as the network gave them, in levels of 255; None before three frames of one face."""
        return 255 * self._sums[0] / self._weight if self._weight else None

    @property
    def with_smoothing(self) -> float | None:
        """Of the crops as they were pasted."""
        return 255 * self._sums[1] / self._weight if self._weight else None

    def add(self, numbers: Sequence[int], plain: Tensor, smooth: Tensor, masks: Sequence[Tensor]) -> None:
        """Takes the next frame: crops (N, 3, T, T) in [0, 1] before and after smoothing, and their masks (M, M), of
        the tracks `numbers`."""
        now: dict[int, list[Tensor]] = {}
        for row, number in enumerate(numbers):
            pair = torch.stack([plain[row, :, ::_STEP, ::_STEP], smooth[row, :, ::_STEP, ::_STEP]])
            last = self._last.get(number, [])
            if len(last) == _KEPT:
                size = (pair.shape[-2], pair.shape[-1])
                weight = F.interpolate(masks[row][None, None].float(), size, mode="bilinear", align_corners=False)[0, 0]
                second = (last[0] - 2 * last[1] + pair).abs().mean(1)
                for k in (0, 1):
                    self._sums[k] += float((second[k] * weight).sum())
                self._weight += float(weight.sum())
            now[number] = [*last, pair][-_KEPT:]
        self._last = now

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that `from_state` needs: tensors, and JSON values."""
        tensors = {f"flicker.{n}.{k}": crop for n, crops in self._last.items() for k, crop in enumerate(crops)}
        kept = {str(n): len(crops) for n, crops in self._last.items()}
        return tensors, {"sums": list(self._sums), "weight": self._weight, "kept": kept}

    @classmethod
    def from_state(cls, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> Flicker:
        """The figure whose `state` this was."""
        flicker = cls()
        flicker._sums, flicker._weight = list(values["sums"]), values["weight"]
        for number, count in values["kept"].items():
            flicker._last[int(number)] = [tensors[f"flicker.{number}.{k}"] for k in range(count)]
        return flicker
