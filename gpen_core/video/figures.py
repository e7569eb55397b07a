"""What is summed up about each face along a film."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..film_options import BLOCK
from .flicker import Unrest, added, mean_flicker
from .moments import DoneFrame
from .report import TrackReport

_NOTHING: Unrest = (0.0, 0.0, 0.0, 0.0)


@dataclass(kw_only=True)
class _Sums:
    """Of one track. course: unrest by block of frames; identities: sum, least, number."""

    first: int
    last: int
    frames: int = 0
    missed: int = 0
    score: float = 0.0
    size: float = 0.0
    unrest: Unrest = _NOTHING
    course: dict[int, Unrest] = field(default_factory=dict)
    identities: tuple[float, float, int] = (0.0, 1.0, 0)


class TrackFigures:
    """Sums up figures of faces, frame by frame, by track."""

    def __init__(self) -> None:
        self._tracks: dict[int, _Sums] = {}

    def add(self, done: DoneFrame) -> None:
        """Takes the next frame."""
        for number, face in zip(done.numbers, done.faces, strict=True):
            sums = self._tracks.setdefault(number, _Sums(first=done.index, last=done.index))
            sums.last = done.index
            sums.frames += 1
            sums.missed += number in done.missed
            sums.score += face.score
            sums.size += face.size
            if (unrest := done.unrest.get(number)) is not None:
                block = done.index // BLOCK
                sums.unrest = added(sums.unrest, unrest)
                sums.course[block] = added(sums.course.get(block, _NOTHING), unrest)
            if (identity := done.identities.get(number)) is not None:
                whole, least, count = sums.identities
                sums.identities = (whole + identity, min(least, identity), count + 1)

    def reports(self) -> tuple[TrackReport, ...]:
        """One for each track, in their order."""
        return tuple(_report(number, sums) for number, sums in sorted(self._tracks.items()))

    def state(self) -> dict[str, Any]:
        """All that `from_state` needs, as JSON values."""
        return {str(number): asdict(sums) for number, sums in self._tracks.items()}

    @classmethod
    def from_state(cls, values: Mapping[str, Any]) -> TrackFigures:
        """The figures whose `state` this was."""
        figures = cls()
        for number, sums in values.items():
            course = {int(block): tuple(unrest) for block, unrest in sums["course"].items()}
            pairs = {"unrest": tuple(sums["unrest"]), "identities": tuple(sums["identities"]), "course": course}
            figures._tracks[int(number)] = _Sums(**{**sums, **pairs})
        return figures


def _report(number: int, sums: _Sums) -> TrackReport:
    plain, smooth, source = mean_flicker(sums.unrest)
    whole, least, count = sums.identities
    blocks = range(sums.first // BLOCK, sums.last // BLOCK + 1)
    return TrackReport(
        number=number,
        first=sums.first,
        last=sums.last,
        frames=sums.frames,
        score=sums.score / sums.frames,
        size=sums.size / sums.frames,
        missed=sums.missed,
        dropouts=sums.last - sums.first + 1 - sums.frames,
        flicker=smooth,
        flicker_without_smoothing=plain,
        flicker_of_source=source,
        identity=whole / count if count else None,
        least_identity=least if count else None,
        course=tuple(mean_flicker(sums.course.get(block, _NOTHING))[1] for block in blocks),
    )
