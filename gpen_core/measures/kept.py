"""What earlier runs found out, and this one adds: a stopped run goes on by it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from ..files import json_lines


class Kept:
    """Rows of `width` JSON values, one a line of a file; what a kill cut short does not count, and spoils nothing
    after it.

    rows: those that stood there when it was opened. path: None keeps nothing.
    """

    def __init__(self, path: Path | None, width: int) -> None:
        self._path, self._width = path, width
        self._file: IO[bytes] | None = None
        self.rows: list[Any] = []

    def __enter__(self) -> Kept:
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a+b")
            self._file.seek(0)
            data = self._file.read()
            rows = json_lines(data.splitlines(keepends=True))
            self.rows = [row for row in rows if isinstance(row, list) and len(row) == self._width]
            if data and not data.endswith(b"\n"):
                self._file.write(b"\n")
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def add(self, row: Sequence[Any]) -> None:
        """Notes a row; a kill from here on does not lose it."""
        if self._file is not None:
            self._file.write(json.dumps(row).encode() + b"\n")
            self._file.flush()
