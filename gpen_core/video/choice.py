"""Which faces of a film are restored: decided once for each track, so that no face comes and goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..faces.damage import GOOD, damage

if TYPE_CHECKING:
    from ..measures.person import Person


class TrackChoice:
    """person: restores those whom it means; only_damaged: leaves faces alone that are good already."""

    def __init__(self, person: Person | None = None, *, only_damaged: bool = False) -> None:
        self._person, self._only_damaged = person, only_damaged
        self._meant: dict[int, bool] = {}

    @property
    def chooses(self) -> bool:
        """Whether any face may be left as it is."""
        return self._person is not None or self._only_damaged

    def meant(self, frames: Iterable[tuple[Sequence[int], Tensor]]) -> set[int]:
        """Which tracks are restored, of those in a block of `frames`: the tracks of each, and their crops."""
        seen: dict[int, list[Tensor]] = {}
        for numbers, crops in frames:
            for number, crop in zip(numbers, crops, strict=True):
                seen.setdefault(number, []).append(crop)
        return {number for number, crops in seen.items() if self.is_meant(number, torch.stack(crops))}

    def is_meant(self, number: int, crops: Tensor) -> bool:
        """Whether track `number` is restored, by the first crops (N, 3, S, S) of it that come."""
        if number not in self._meant:
            known = self._person is None or self._person.is_meant(crops)
            self._meant[number] = known and not (self._only_damaged and float(damage(crops).median()) < GOOD)
        return self._meant[number]

    @property
    def spared(self) -> tuple[int, ...]:
        """The tracks that are left as they are, so far."""
        return tuple(sorted(number for number, meant in self._meant.items() if not meant))

    def state(self) -> dict[str, Any]:
        """All that `resume` needs, as JSON values."""
        return {str(number): meant for number, meant in self._meant.items()}

    def resume(self, values: Mapping[str, bool]) -> None:
        """Goes on from a `state`."""
        self._meant = {int(number): meant for number, meant in values.items()}
