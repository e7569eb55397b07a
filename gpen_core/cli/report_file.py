"""Where a report may go: over an earlier one, never over anything else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..batch import Item

#: How reports begin, of pictures and of a film, without white space.
_BEGINNINGS = (b'{"settings":', b'{"input":')
_HEAD = 256
#: What is written beside reports under their names: a film's plot, the page to look at.
_BESIDE = (".svg", ".html")


def checked_report(path: Path, items: Sequence[Item]) -> Path:
    """The same. Raises InputError where a report there would take the place of something else.

    items: what the run is to do.
    """
    from ..batch.kinds import is_film, is_picture
    from ..batch.naming import spelt_alike
    from ..errors import InputError

    if path.is_dir():
        raise InputError(f"{path} is a folder; the report is a file: --report {path / 'report.json'}")
    place = spelt_alike(os.path.abspath(path))
    if any(spelt_alike(os.path.abspath(item.target)) == place for item in items):
        raise InputError(f"{path} is the name of a result; give the report one of its own (--report FILE)")
    if path.exists():
        if not _is_report(path):
            raise InputError(f"{path} is there already, and no report; name another file (--report FILE)")
    elif is_picture(path) or is_film(path) or path.suffix.lower() in _BESIDE:
        raise InputError(f"{path} is no name for a report, which is JSON: --report {path.with_suffix('.json')}")
    return path


def _is_report(path: Path) -> bool:
    """Whether a file begins like a report, or is empty."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = b"".join(file.read(_HEAD).split())
    return not head or head.startswith(_BEGINNINGS)
