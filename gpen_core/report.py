"""What was done to each picture and to each of its faces, as values that JSON can hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from .errors import ConfigError
from .images import Picture
from .images.writing import whole_file
from .treatment import Treated

#: restored: its faces were; copied: no face, the file's own bytes; converted: no face, but another format or size
#: was asked; failed: `reason` says why.
Status = Literal["restored", "copied", "converted", "failed"]

#: Figures about one restored face: of an entry of `RestoredPicture.faces` and the resulting picture, for fields of
#: FaceReport. `gpen_core.measures.figures.face_figures` is one.
FaceFigures = Callable[[Any, Picture], Mapping[str, Any]]


def counted(number: int, noun: str) -> str:
    """`1 face`, `2 faces`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


@dataclass(frozen=True, kw_only=True)
class FaceReport(Treated):
    """One face. Coordinates in pixels of the picture, centres at integers.

    size: the box's shorter side in pixels. in_size: side of the crop that the network was given; of a model of two
    sizes it tells which network. score: the detector's, None where the caller gave the face. kept: how much of itself a
    face keeps that is larger than the model's size and sound. covered: the share of the face that something in front of
    it kept from being restored. Figures that were not taken are None.
    damage: 0 to 1, as `faces.damage` tells it from the crop. sharpness: root mean square of the crop's Laplacian,
    before and after. colour_shift: CIE76 distance of the mean colours.
    seam: gradient across the mask's edge over the gradient just inside. identity: cosine similarity of face
    embeddings before and after; likeness: to the person who was asked for.
    """

    index: int
    box: tuple[float, float, float, float]
    landmarks: tuple[tuple[float, float], ...]
    score: float | None = None
    size: float = 0.0
    in_size: int | None = None
    strength: float = 1.0
    kept: float | None = None
    covered: float | None = None
    damage: float | None = None
    sharpness_before: float | None = None
    sharpness_after: float | None = None
    colour_shift: float | None = None
    seam: float | None = None
    identity: float | None = None
    likeness: float | None = None
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, face: Any, index: int, picture: Picture, figures: Sequence[FaceFigures] = ()) -> FaceReport:
        """The report of an entry of `RestoredPicture.faces` (or of a Detection), with what each of `figures` measures.

        picture: the result that the face is part of.
        """
        box = tuple(float(v) for v in face.box)
        score = getattr(face, "score", None)
        values: dict[str, Any] = {
            "index": index,
            "box": box,
            "landmarks": tuple((float(x), float(y)) for x, y in face.landmarks),
            "score": None if score is None else float(score),
            "size": min(box[2] - box[0], box[3] - box[1]),
            "in_size": getattr(face, "in_size", None) or None,
        }
        for name in ("strength", "kept", "covered"):
            value = getattr(face, name, None)
            if value is not None:
                values[name] = float(value)
        for figure in figures:
            found = dict(figure(face, picture))
            values["warnings"] = (*values.get("warnings", ()), *found.pop("warnings", ()))
            values.update(found)
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(f"a face's report has no field {', '.join(unknown)}; it has {', '.join(sorted(known))}")
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class PictureReport:
    """One picture: what became of it, why, and its faces. seconds: time by step (decode, restore, encode).

    page: which one of a file that holds several, from 0, where all were asked for; pages: how many it holds. Both are
    left out of the row of an ordinary file.
    """

    input: str
    output: str | None = None
    status: Status = "restored"
    reason: str | None = None
    width: int = 0
    height: int = 0
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    faces: tuple[FaceReport, ...] = ()
    page: int | None = None
    pages: int = 1

    def __post_init__(self) -> None:
        if self.status not in get_args(Status):
            raise ConfigError(f"status is {self.status!r}; it must be one of {', '.join(get_args(Status))}")

    @property
    def failure(self) -> str:
        """Why it failed, with its name, which what is said of pixels or faces does not tell."""
        reason = self.reason or "failed"
        return reason if self.input in reason else f"{self.input}: {reason}"

    def to_dict(self) -> dict[str, Any]:
        """JSON values; numbers rounded to what can be trusted; figures that were not taken left out."""
        row = asdict(self)
        if self.pages == 1:
            del row["page"], row["pages"]
        row["faces"] = [{k: v for k, v in face.items() if v is not None} for face in row["faces"]]
        rounded: dict[str, Any] = _plain(row)
        return rounded


def _plain(value: Any) -> Any:
    """Lists and numbers as JSON has them: no NaN, no NumPy, four decimals."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float | np.floating):
        return round(float(value), 4) if np.isfinite(value) else None
    return value.item() if isinstance(value, np.generic) else value


def write_report(path: Path, rows: Iterable[Mapping[str, Any]], settings: Mapping[str, Any]) -> None:
    """Writes `{"settings", "pictures": [one row a line], "totals"}`, row by row, to a temporary name that is renamed.

    settings: JSON values. rows: as PictureReport.to_dict gives them; read once, so they may come from a file of any
    length.
    """
    counts: dict[str, int] = dict.fromkeys(get_args(Status), 0)
    faces = 0
    with whole_file(path) as file:
        file.write(b'{"settings": ' + as_line(settings) + b',\n"pictures": [')
        separator = b"\n"
        for row in rows:
            file.write(separator + as_line(row))
            separator = b",\n"
            counts[row["status"]] += 1
            faces += len(row["faces"])
        totals = {"pictures": sum(counts.values()), **counts, "faces": faces}
        file.write(b'\n],\n"totals": ' + as_line(totals) + b"}\n")


def as_line(value: Any) -> bytes:
    """JSON in UTF-8 on one line; bytes of file names that are no text stand in it as escapes, and come back."""
    return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace")
