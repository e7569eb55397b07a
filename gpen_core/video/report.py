"""What was done to a film, as values that JSON can hold, and as the journal of a finished run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..images.writing import whole_file


@dataclass(frozen=True, kw_only=True)
class FilmProgress:
    """How far a film is. rate: frames a second; left: seconds, None before there is a rate."""

    done: int
    frames: int
    rate: float
    left: float | None


@dataclass(frozen=True, kw_only=True)
class TrackReport:
    """One face along the film: frames first … last, in how many of them it was restored, mean score and size (the
    box's shorter side, pixels).

    missed: of these frames, those in which the detector missed it, and its place was told from those around. dropouts:
    frames between first and last in which it was not restored. flicker: as FilmReport has it; flicker_of_source: of the
    face as it was. identity: mean cosine of embeddings before and after, of each eighth frame, and the least of them.
    course: flicker of each eight frames, from the eight that hold the first one. None: not measured.
    """

    number: int
    first: int
    last: int
    frames: int
    score: float
    size: float
    missed: int = 0
    dropouts: int = 0
    flicker: float | None = None
    flicker_without_smoothing: float | None = None
    flicker_of_source: float | None = None
    identity: float | None = None
    least_identity: float | None = None
    course: tuple[float | None, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FilmReport:
    """What was done to a film. flicker: mean absolute second difference of the restored faces after alignment, levels
    of 255, as pasted, as the network gave them, and as they were before; None where no face stayed for three frames.
    spared: tracks that were left as they are, not meant or good already; they are not among `tracks`.
    seconds: by step; encoding: what the rest waited for it. frames_before: frames that an earlier run had done."""

    input: str
    output: str
    frames: int
    faces: int
    cuts: tuple[int, ...]
    tracks: tuple[TrackReport, ...]
    flicker: float | None
    flicker_without_smoothing: float | None
    flicker_of_source: float | None = None
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    frames_before: int = 0
    spared: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FilmReport:
        """The report whose `to_dict` this was. Raises TypeError, KeyError where it is none."""
        tracks = tuple(TrackReport(**{**t, "course": tuple(t.get("course", ()))}) for t in values["tracks"])
        lists = {name: tuple(values.get(name, ())) for name in ("cuts", "notes", "spared")}
        return cls(**{**values, **lists, "tracks": tracks})


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Writes a JSON file whole, by way of a temporary name; it is on disk when this returns."""
    with whole_file(path) as file:
        file.write(json.dumps(values, ensure_ascii=False, indent=1).encode())
        file.flush()
        os.fsync(file.fileno())
