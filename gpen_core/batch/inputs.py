"""What a command line names (files, folders, patterns), as a list of pictures and where each result goes."""

from __future__ import annotations

import glob
import os
import re
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ..errors import InputError
from ..files import refuse_missing
from ..images.reading import READABLE_SUFFIXES, claims_of
from ..images.writing import FORMATS, refuse_same_file
from .kinds import FILM_SUFFIXES, is_picture
from .naming import labels, page_name, result_names, spelt_alike

#: Formats that may hold several pictures.
_WITH_PAGES = frozenset((".tif", ".tiff", ".gif", ".webp", ".png", ".avif"))
#: How files' names end, and hardly a folder's: `out.xyz`, not `2024.05` or `2024.holiday`.
_OF_A_FILE = re.compile(r"\.[a-z][a-z0-9]{1,4}", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Item:
    """One picture to do: read from `source`, its result to `target`, both absolute where `collect` made it.

    page: which one of those in the file, from 0; None: the first, where nobody asked for others. label: the name of
    what goes beside the result (compare, faces), relative, without suffix; the target's own where none is given.
    """

    source: Path
    target: Path
    page: int | None = None
    label: Path | None = None

    @property
    def key(self) -> tuple[str, int | None]:
        """What tells it from all others of a run."""
        return str(self.source), self.page


def collect(
    inputs: Sequence[str | Path],
    output: str | Path,
    *,
    suffix: str | None = None,
    overwrite: bool = False,
    pages: bool = False,
) -> list[Item]:
    """Items in a stable order, each picture once: files as named, folders with all they hold (their structure kept),
    patterns expanded.

    output: a folder; or a file's name, when the input is one file, unless it ends with a separator. suffix: of every
    result (".png"), None keeps each file's own. pages: all pictures of files that hold several, each to a result of its
    own (`scan_page2.tif`). Files of other kinds in folders are passed over; results of an earlier run inside `output`
    too. Results that would have one name keep their inputs' suffixes too (`a.jpg.png`).
    Raises InputError when nothing is found, a file is missing, or two results would still have the same name;
    PictureError when a result would be written over its own input and `overwrite` is not said.
    """
    folder, output = is_folder(output), Path(output)
    sources = sources_of(inputs, output, is_picture)
    if not sources:
        raise InputError(
            f"no picture found in {', '.join(map(str, inputs))}; expected .jpg, .png, .webp, .tif and the like"
        )
    counts = [_pages(source) if pages else 1 for source in sources]
    if len(sources) == 1 and output.suffix.lower() in FORMATS and not folder:
        if counts[0] > 1:
            raise InputError(f"{inputs[0]} holds {counts[0]} pictures; give a folder for their results, not {output}")
        return _checked([Item(source=next(iter(sources)), target=output)], overwrite)
    if output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file; give a folder for the results")
    if not folder:
        _refuse_file_names(output, len(sources))
        if counts == [1]:
            refuse_unknown_suffix(inputs, output, "picture", FORMATS)
    names = result_names(list(sources.values()), suffix)
    items = []
    for source, name, label, count in zip(sources, names, labels(names), counts, strict=True):
        if count == 1:
            items.append(Item(source=source, target=output / name, label=label))
        for page in range(count if count > 1 else 0):
            target, beside = (page_name(one, page + 1, count) for one in (name, label))
            items.append(Item(source=source, target=output / target, page=page, label=beside))
    return _checked(items, overwrite)


def _refuse_file_names(output: Path, pictures: int) -> None:
    """Raises InputError for a folder of results that is called like a picture or film."""
    if output.suffix.lower() not in READABLE_SUFFIXES | FILM_SUFFIXES:
        return
    one = (
        f"; one picture is written as {', '.join(FORMATS)}" if pictures == 1 else f", and there are {pictures} pictures"
    )
    raise InputError(f"{output} is called like a file{one}; give another name, or {output}{os.sep} for a folder")


def is_folder(output: str | Path) -> bool:
    """Whether this place for results is a folder's: one that is there, or a name that ends with a separator."""
    return os.path.isdir(output) or str(output).endswith((os.sep, os.altsep or os.sep))


def refuse_unknown_suffix(inputs: Sequence[str | Path], output: Path, kind: str, suffixes: Iterable[str]) -> None:
    """Raises InputError where one file is to become a file that is not written: no folder is meant by such a name.

    kind: what the file is, for the message; suffixes: as which it is written.
    """
    if len(inputs) == 1 and os.path.isfile(inputs[0]) and _OF_A_FILE.fullmatch(output.suffix):
        raise InputError(
            f"{output} is called like a file, and a {kind} is written as {', '.join(suffixes)}; give one of these, or "
            f"{output}{os.sep} for a folder"
        )


def _checked(items: list[Item], overwrite: bool) -> list[Item]:
    refuse_collisions(items)
    if not overwrite:
        for item in items:
            refuse_same_file(item.source, item.target)
    # from anywhere, and however spelt, a later run finds them again
    return [replace(item, target=Path(os.path.abspath(item.target))) for item in items]


def _pages(source: Path) -> int:
    """How many pictures a file holds; 1 for one that cannot be read, which is said when its turn comes."""
    return max(1, claims_of(source).pages) if source.suffix.lower() in _WITH_PAGES else 1


def sources_of(
    inputs: Sequence[str | Path], output: Path, wanted: Callable[[Path], bool], *, named: bool = True
) -> dict[Path, Path]:
    """Absolute path → name of the result below `output`, of all files that the inputs name and `wanted` takes.

    named: files named one by one are taken whatever they are. Raises InputError for a file that is missing, or a name
    that is empty, which would be the current folder.
    """
    sources: dict[Path, Path] = {}
    for given in inputs:
        refuse_empty(given, "an input")
        for source, relative in _expand(given, output, wanted, named):
            sources.setdefault(Path(os.path.abspath(source)), relative)
    return sources


def refuse_empty(place: str | Path, what: str) -> None:
    """Raises InputError for a place whose name is empty. what: it is to be, for the message."""
    if not str(place):
        raise InputError(f"the name of {what} is empty; give a file or a folder ('.' is the current one)")


def _expand(
    given: str | Path, output: Path, wanted: Callable[[Path], bool], named: bool
) -> Iterable[tuple[Path, Path]]:
    """(file, name of its result) for one argument."""
    path = Path(given)
    if path.is_dir():
        inside = output.resolve()
        for folder, folders, names in os.walk(path, onerror=_say_what_is_passed_over):
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
    else:
        refuse_missing([given])
        for name in sorted(glob.glob(str(given), recursive=True)):
            found = Path(name)
            if found.is_file() and wanted(found):
                yield found, Path(found.name)


def _say_what_is_passed_over(error: OSError) -> None:
    warnings.warn(f"{error.filename} cannot be read and is passed over: {error.strerror}", stacklevel=2)


class HasTarget(Protocol):
    """Something whose result has a name."""

    @property
    def source(self) -> Path | str:
        """Where it comes from."""

    @property
    def target(self) -> Path | str:
        """Where its result goes."""


def refuse_collisions(items: Sequence[HasTarget]) -> None:
    """Raises InputError where two results would have the same name."""
    seen: dict[str, Path | str] = {}
    for item in items:
        key = spelt_alike(os.path.abspath(item.target))
        if key in seen:
            raise InputError(
                f"{seen[key]} and {item.source} would both become {item.target}; "
                "give their common folder, whose structure is kept, or run them one after the other into two folders"
            )
        seen[key] = item.source
