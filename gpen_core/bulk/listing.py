"""Listings: tables of pictures, CSV or Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..archives import opened, without_query
from ..errors import InputError, MissingPackageError
from ..images.damage import guarded

LISTINGS = frozenset((".csv", ".parquet"))
_INPUT, _OUTPUT = "input", "output"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One picture. input: a path or an address; output: the name of its result, or empty; fault: why it is none.

    name: of the row itself, for messages.
    """

    name: str
    input: str = ""
    output: str = ""
    fault: str = ""


def read_listing(file: Path | str) -> Iterator[Row]:
    """The rows of a table with the column `input`, and perhaps `output`.

    Raises InputError for what is no table or has no such column.
    """
    read = _csv if PurePosixPath(without_query(str(file))).suffix.lower() == ".csv" else _parquet
    for number, values in read(file):
        name = f"{file}, row {number}"
        given, output = (values.get(key) for key in (_INPUT, _OUTPUT))
        if not isinstance(given, str) or not given.strip():
            fault = f"{name}: {_INPUT} is {given!r}; it must be a path or an address"
            yield Row(name=name, fault=fault)
        elif output is not None and not isinstance(output, str):
            yield Row(name=name, fault=f"{name}: {_OUTPUT} is {output!r}; it must be a name, or empty")
        else:
            yield Row(name=name, input=given.strip(), output=(output or "").strip())


def _csv(file: Path | str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with guarded(f"the listing {file} cannot be read"), opened(file) as binary:
        reader = csv.DictReader(io.StringIO(binary.read().decode("utf-8-sig"), newline=""))
        _check(file, reader.fieldnames or ())
        rows = list(reader)
    yield from enumerate(rows, 1)


def _parquet(file: Path | str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise MissingPackageError("a listing in Parquet needs pyarrow; install gpen[ray]") from error
    with guarded(f"the listing {file} cannot be read"), opened(file) as binary:
        table = parquet.ParquetFile(binary)
        names = table.schema_arrow.names
        _check(file, names)
        rows = table.read([name for name in names if name in (_INPUT, _OUTPUT)]).to_pylist()
    yield from enumerate(rows, 1)


def _check(file: Path | str, names: Any) -> None:
    if _INPUT not in names:
        raise InputError(f"the listing {file} has the columns {', '.join(names) or 'none'}; it needs {_INPUT!r}")
