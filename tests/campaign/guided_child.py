"""Reads pictures that atheris makes, guided by the lines of the readers that each reaches: in a process of its own.

python guided_child.py CORPUS [libFuzzer's options]: ends with a status other than 0 at the first that is neither a
picture nor one line, which libFuzzer keeps in a file.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gpen_core.images"]):
    import gpen_core.images  # noqa: F401 - instrumented here, before the next import
from campaign.reading_child import outcome

FOLDER = Path(tempfile.mkdtemp())


def look(data: bytes) -> None:
    """Reads it, and writes what was read."""
    path = FOLDER / "in.png"
    path.write_bytes(data)
    outcome(path, FOLDER / "out.png", allow_truncated=False)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    atheris.Setup(sys.argv, look)
    atheris.Fuzz()
