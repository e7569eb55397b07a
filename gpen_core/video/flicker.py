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


#: Of one face in one frame: summed over its mask, as the network gave it, as pasted, and as it was; and the mask's sum.
Unrest = tuple[float, float, float, float]


class Flicker:
    """Sums up, frame by frame, how crops change along each track, weighted by their masks.

    Crops are straightened already, so what is left of the face's motion is its expression.
    """

    def __init__(self) -> None:
        self._last: dict[int, list[Tensor]] = {}
        self._sums = (0.0, 0.0, 0.0, 0.0)

    @property
    def without_smoothing(self) -> float | None:
        """Of the crops as the network gave them, in levels of 255; None before three frames of one face."""
        return mean_flicker(self._sums)[0]

    @property
    def with_smoothing(self) -> float | None:
        """Of the crops as they were pasted."""
        return mean_flicker(self._sums)[1]

    @property
    def of_source(self) -> float | None:
        """Of the crops as they were before."""
        return mean_flicker(self._sums)[2]

    def add(
        self, numbers: Sequence[int], plain: Tensor, smooth: Tensor, source: Tensor, masks: Sequence[Tensor]
    ) -> dict[int, Unrest]:
        """Takes the next frame: crops (N, 3, T, T) in [0, 1] before and after smoothing, those they were made of
        (N, 3, S, S), and their masks (M, M), of the tracks `numbers`; gives what each track adds, from its third frame
        on."""
        now: dict[int, list[Tensor]] = {}
        found: dict[int, Unrest] = {}
        for row, number in enumerate(numbers):
            views = [crops[row, :, ::_STEP, ::_STEP] for crops in (plain, smooth)]
            size = (views[0].shape[-2], views[0].shape[-1])
            same = source.shape[-1] == plain.shape[-1]
            views.append(
                source[row, :, ::_STEP, ::_STEP]
                if same
                else F.interpolate(source[row][None], size, mode="bilinear", align_corners=False)[0]
            )
            trio = torch.stack(views)
            last = self._last.get(number, [])
            if len(last) == _KEPT:
                weight = F.interpolate(masks[row][None, None].float(), size, mode="bilinear", align_corners=False)[0, 0]
                second = (last[0] - 2 * last[1] + trio).abs().mean(1)
                a, b, c = (second * weight).sum((1, 2)).tolist()
                found[number] = (a, b, c, float(weight.sum()))
            now[number] = [*last, trio][-_KEPT:]
        self._last = now
        for unrest in found.values():
            self._sums = added(self._sums, unrest)
        return found

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that `from_state` needs: tensors, and JSON values."""
        tensors = {f"flicker.{n}.{k}": crop for n, crops in self._last.items() for k, crop in enumerate(crops)}
        kept = {str(n): len(crops) for n, crops in self._last.items()}
        return tensors, {"sums": list(self._sums), "kept": kept}

    @classmethod
    def from_state(cls, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> Flicker:
        """The figure whose `state` this was."""
        flicker = cls()
        a, b, c, weight = values["sums"]
        flicker._sums = (a, b, c, weight)
        for number, count in values["kept"].items():
            flicker._last[int(number)] = [tensors[f"flicker.{number}.{k}"] for k in range(count)]
        return flicker


def added(one: Unrest, other: Unrest) -> Unrest:
    """Both together."""
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2], one[3] + other[3])


def mean_flicker(sums: Unrest) -> tuple[float | None, float | None, float | None]:
    """In levels of 255: as the network gave it, as pasted, as it was; None where there is nothing yet."""
    if not sums[3]:
        return None, None, None
    return 255 * sums[0] / sums[3], 255 * sums[1] / sums[3], 255 * sums[2] / sums[3]
