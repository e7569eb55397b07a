"""Figures as tables: every picture a row in CSV and Parquet, sums in JSON and in words."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import MissingPackageError
from ..files import replacing
from .catalogue import better
from .evaluation import Evaluation
from .significance import Difference, interval, paired

#: Model (or "degraded") → its evaluation.
Sides = Mapping[str, Evaluation]


def rows(sides: Sides) -> list[dict[str, Any]]:
    """One row a picture and side: side, picture, figures; figures that could not be taken are None."""
    return [
        {"side": side, "picture": stem} | {name: v if math.isfinite(v) else None for name, v in figures.items()}
        for side, evaluation in sides.items()
        for stem, figures in evaluation.pictures.items()
    ]


def write_csv(path: Path, sides: Sides) -> None:
    """Writes the rows with a header."""
    table = rows(sides)
    columns = list(dict.fromkeys(name for row in table for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    with replacing(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def write_parquet(path: Path, sides: Sides) -> None:
    """Writes the same rows. Raises MissingPackageError without pyarrow."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingPackageError("Parquet needs pyarrow; install gpen[metrics], or ask for .csv") from error
    with replacing(path) as temporary:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows(sides)), temporary)


def summary(sides: Sides) -> dict[str, Any]:
    """JSON values: of each side means, their 95 % bounds, pictures and what is missing; of each two sides, how they
    differ."""
    whole: dict[str, Any] = {"sides": {}, "differences": []}
    for side, evaluation in sides.items():
        figures = {}
        for name, mean in evaluation.means.items():
            values = [row[name] for row in evaluation.pictures.values() if name in row]
            low, high = interval(values)
            figures[name] = {"mean": _number(mean), "low": _number(low), "high": _number(high), "better": better(name)}
        whole["sides"][side] = {
            "pictures": len(evaluation.pictures),
            "figures": figures,
            "missing": evaluation.missing,
            "notes": evaluation.notes,
        }
    names = list(sides)
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            for name, found in differences(sides[first], sides[second]).items():
                held = {
                    "figure": name,
                    "first": first,
                    "second": second,
                    "pictures": found.count,
                    "p": _number(found.p),
                }
                held |= {key: _number(getattr(found, key)) for key in ("mean", "low", "high")}
                whole["differences"].append(held)
    return whole


def differences(first: Evaluation, second: Evaluation) -> dict[str, Difference]:
    """By figure, over the pictures that both have."""
    stems = [stem for stem in first.pictures if stem in second.pictures]
    names = next(iter(first.pictures.values()), {})
    return {
        name: paired(*([side.pictures[stem].get(name, math.nan) for stem in stems] for side in (first, second)))
        for name in names
    }


def write_summary(path: Path, sides: Sides) -> None:
    """Writes the sums as JSON."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(summary(sides), indent=1, ensure_ascii=False), encoding="utf-8")


def _number(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
