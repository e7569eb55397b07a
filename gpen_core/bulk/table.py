"""The report of a run as a table: a row for every face, and one for each picture without."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..files import replacing

_ROWS_AT_ONCE = 10_000
_SIDES = ("left", "top", "right", "bottom")


def write_table(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes the rows of a journal as Parquet, some thousand at a time.

    Columns: input, output, status, reason, width, height, notes (of the picture, a list of sentences); of a face its
    number, score and box, else empty; about: all that the report has of it, as JSON.
    """
    import pyarrow
    from pyarrow import parquet

    kinds = {
        **dict.fromkeys(("input", "output", "status", "reason"), pyarrow.string()),
        **dict.fromkeys(("width", "height", "face"), pyarrow.int64()),
        **dict.fromkeys(("score", *_SIDES), pyarrow.float64()),
        "about": pyarrow.string(),
        "notes": pyarrow.list_(pyarrow.string()),
    }
    schema = pyarrow.schema(list(kinds.items()))
    faces = _faces(rows)
    with replacing(path) as temporary, parquet.ParquetWriter(temporary, schema) as writer:
        while some := list(itertools.islice(faces, _ROWS_AT_ONCE)):
            writer.write_table(pyarrow.Table.from_pylist(some, schema))


def _faces(rows: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        about = {key: row[key] for key in ("input", "output", "status", "width", "height")}
        about |= {"reason": row["reason"] or "", "notes": row["notes"]}
        for face in row["faces"] or [{}]:
            sides = dict(zip(_SIDES, face.get("box") or [None] * 4, strict=True))
            found = {"face": face.get("index"), "score": face.get("score"), **sides}
            yield {**about, **found, "about": json.dumps(face)}
