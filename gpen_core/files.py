"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path, *, unique: bool = False) -> Iterator[Path]:
    """A temporary name beside `path` to write to: it takes `path`'s place at the end, or is removed on any error.

    unique: a name of its own for each call, where several processes may write `path` at once; else the name is the
    same every time, so that what a killed process left is written over by the next.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:40]}.{uuid.uuid4().hex}.part" if unique else f".{path.name}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
