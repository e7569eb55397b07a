"""What is printed: beside the work, which goes on whether or not anybody reads it; tables and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TextIO


class Unread:
    """A stream that says nothing more once its reader has gone, instead of ending the work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """The number of characters taken, read or not."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            return len(text)

    def flush(self) -> None:
        """As a stream's own."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns, each as wide as its widest cell; the last is not padded."""
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)


def megabytes(size: int | None) -> str:
    """`284 MB`; a dash where the size is not known."""
    return "–" if size is None else f"{size / 1e6:.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB"
