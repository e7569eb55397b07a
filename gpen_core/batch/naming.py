"""What results are called: each its own name, which every file system takes."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

from ..files import shortened
from ..images.writing import FORMATS

#: Formats that are read but not written (or not well): their results are PNG.
_WRITTEN_AS_PNG = frozenset((".gif", ".mpo", ".pbm", ".j2k"))


def result_names(relatives: Sequence[Path], suffix: str | None) -> list[Path]:
    """The results' names below their folder, for inputs so named there. suffix: of all, None keeps each one's own.

    Where two would have one name, they keep what tells them apart: first their own suffixes (`a.jpg.png`,
    `a.png.png`), then a number, for names that differ only in case or in how an accent is spelt. Names that are equal
    altogether stay so.
    """
    names = [_renamed(relative, suffix) for relative in relatives]
    for index in set(_clashing(names)) - set(_clashing(relatives)):
        names[index] = _fitting(relatives[index].with_name(relatives[index].name + names[index].suffix))
    taken: dict[str, int] = defaultdict(int)
    seen: dict[str, Path] = {}
    for index, name in enumerate(names):
        key = spelt_alike(name)
        taken[key] += 1
        if taken[key] > 1 and relatives[index] != seen[key]:
            names[index] = _fitting(name.with_name(f"{name.stem}_{taken[key]}{name.suffix}"))
        seen.setdefault(key, relatives[index])
    return names


def _clashing(names: Sequence[Path]) -> list[int]:
    counts = Counter(map(spelt_alike, names))
    return [index for index, name in enumerate(names) if counts[spelt_alike(name)] > 1]


def labels(names: Sequence[Path]) -> list[Path]:
    """Names without suffix for what goes beside the results: with it where others have the same without."""
    stems = [name.with_suffix("") for name in names]
    clashing = set(_clashing(stems))
    return [name if index in clashing else stems[index] for index, name in enumerate(names)]


def page_name(name: Path, page: int, pages: int) -> Path:
    """The name of one of several pages, from 1, that sort as they count."""
    return name.with_name(f"{name.stem}_page{page:0{len(str(pages))}}{name.suffix}")


def spelt_alike(path: Path | str) -> str:
    """Equal for paths that some file system takes for one: by case, or by the spelling of accents."""
    return unicodedata.normalize("NFC", os.path.normcase(os.fspath(path))).casefold()


def _renamed(relative: Path, suffix: str | None) -> Path:
    own = relative.suffix.lower()
    if suffix is None:
        suffix = ".png" if own in _WRITTEN_AS_PNG or own not in FORMATS else relative.suffix
    return _fitting(relative.with_suffix(suffix))


def _fitting(name: Path) -> Path:
    return name.with_name(shortened(name.name))
