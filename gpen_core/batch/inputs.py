"""What a command line names (files, folders, patterns), as a list of pictures and where each result goes."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..images import READABLE_SUFFIXES
from ..images.writing import FORMATS, refuse_same_file

#: Formats that are read but not written (or not well): their results are PNG.
_WRITTEN_AS_PNG = frozenset((".gif", ".mpo", ".pbm", ".j2k"))


@dataclass(frozen=True, kw_only=True)
class Item:
    """One picture to do: read from `source`, its result to `target`."""

    source: Path
    target: Path


def collect(
    inputs: Sequence[str | Path], output: Path, *, suffix: str | None = None, overwrite: bool = False
) -> list[Item]:
    """Items in a stable order, each picture once: files as named, folders with all they hold (their structure kept),
    patterns expanded.

    output: a folder; or a file's name, when the input is one file. suffix: of every result (".png"), None keeps each
    file's own. Files of other kinds in folders are passed over; results of an earlier run inside `output` too.
    Raises InputError when nothing is found, a file is missing, or two results would have the same name; PictureError
    when a result would be written over its own input and `overwrite` is not said.
    """
    sources = sources_of(inputs, output, _is_picture)
    if not sources:
        raise InputError(
            f"no picture found in {', '.join(map(str, inputs))}; expected .jpg, .png, .webp, .tif and the like"
        )
    if len(sources) == 1 and output.suffix.lower() in FORMATS and not output.is_dir():
        targets = [output]
    elif output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file, and there are {len(sources)} pictures; give a folder")
    else:
        targets = [output / _renamed(relative, suffix) for relative in sources.values()]
    items = [Item(source=source, target=target) for source, target in zip(sources, targets, strict=True)]
    refuse_collisions(items)
    if not overwrite:
        for item in items:
            refuse_same_file(item.source, item.target)
    return items


def sources_of(
    inputs: Sequence[str | Path], output: Path, wanted: Callable[[Path], bool], *, named: bool = True
) -> dict[Path, Path]:
    """Absolute path → name of the result below `output`, of all files that the inputs name and `wanted` takes.

    named: files named one by one are taken whatever they are.
    """
    sources: dict[Path, Path] = {}
    for given in inputs:
        for source, relative in _expand(given, output, wanted, named):
            sources.setdefault(Path(os.path.abspath(source)), relative)
    return sources


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in READABLE_SUFFIXES


def _expand(
    given: str | Path, output: Path, wanted: Callable[[Path], bool], named: bool
) -> Iterable[tuple[Path, Path]]:
    """(file, name of its result) for one argument."""
    path = Path(given)
    if path.is_dir():
        inside = output.resolve()
        for folder, folders, names in os.walk(path):
            folders.sort()
            if Path(folder).resolve() == inside and inside != path.resolve():
                folders.clear()
                continue
            for name in sorted(names):
                file = Path(folder, name)
                if not name.startswith(".") and wanted(file):
                    yield file, file.relative_to(path)
    elif path.exists():
        if named or wanted(path):
            yield path, Path(path.name)
    elif glob.has_magic(str(given)):
        for name in sorted(glob.glob(str(given), recursive=True)):
            found = Path(name)
            if found.is_file() and wanted(found):
                yield found, Path(found.name)
    else:
        raise InputError(f"{given}: no such file or folder")


def _renamed(relative: Path, suffix: str | None) -> Path:
    if suffix is not None:
        return relative.with_suffix(suffix)
    own = relative.suffix.lower()
    return relative.with_suffix(".png") if own in _WRITTEN_AS_PNG or own not in FORMATS else relative


def refuse_collisions(items: Sequence[Item]) -> None:
    """Raises InputError where two results would have the same name."""
    seen: dict[str, Path] = {}
    for item in items:
        key = os.path.normcase(os.path.abspath(item.target)).casefold()  # one file on systems that ignore case
        if key in seen:
            raise InputError(
                f"{seen[key]} and {item.source} would both become {item.target}; "
                "give their common folder, whose structure is kept, or run them one after the other into two folders"
            )
        seen[key] = item.source
