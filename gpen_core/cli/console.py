"""What is printed beside the work, which goes on whether or not anybody reads it."""

from __future__ import annotations

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
