"""What the words of a command name, here or far away: pictures, folders, tar archives, listings; and where each result
goes.
"""

from __future__ import annotations

import os
import warnings
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ..archives import Entry, canonical, is_address, remote, scan, without_query
from ..batch.inputs import refuse_collisions, refuse_empty, sources_of
from ..batch.journal import Key, Stamp, stamp
from ..batch.kinds import FILM_SUFFIXES, is_picture
from ..batch.naming import result_names
from ..errors import InputError
from ..images import READABLE_SUFFIXES
from ..images.damage import guarded
from ..images.writing import refuse_same_file
from ..report import counted
from .listing import LISTINGS, read_listing

_TAR = ".tar"
#: What object stores call that by which versions of a file are told apart.
_VERSIONS = ("ETag", "etag", "md5Hash", "blob_id", "mtime", "LastModified", "last_modified", "created")
#: Of an address in a listing, which is not asked for: it counts as unchanged.
_NOT_ASKED: Stamp = [0]


@dataclass(frozen=True, kw_only=True)
class ArchiveItem:
    """One picture of an archive: where its bytes lie, and the path or address of its result.

    stamp: what tells versions of it apart; None: its file is asked. fault: why it cannot be tried.
    """

    entry: Entry
    target: str
    stamp: Stamp = None
    fault: str = ""

    @property
    def source(self) -> str:
        """How reports name it."""
        return self.entry.name

    @property
    def key(self) -> Key:
        """What tells it from all others of a run."""
        return self.entry.name, None

    @property
    def is_file(self) -> bool:
        """Whether it is a file of its own on this machine's disks."""
        return isinstance(self.entry.file, Path) and self.entry.length is None


@dataclass(frozen=True, kw_only=True)
class _Found:
    entry: Entry
    relative: PurePosixPath
    stamp: Stamp = None
    fault: str = ""
    row: str = ""
    """The row of a listing that names its result, for messages."""


def collect_archive(inputs: Sequence[str], output: str, *, suffix: str | None = None) -> list[ArchiveItem]:
    """Items in a stable order, each picture once.

    inputs: paths, folders with all they hold, patterns, or addresses that fsspec knows (s3://, gs://, hf://) of any of
    these; tar archives (WebDataset's, too), also in folders; listings (CSV, Parquet), whose column `input` has paths or
    addresses, `output` names of results; a pattern takes listings where it ends as they do. output: a folder, or an
    address. suffix: of every result, None keeps each one's own. What cannot be tried (a row without a name, or with a
    second result of a picture; a damaged archive; a name that leads out of `output`) is an item that says so. Raises
    InputError where nothing is found or two results would have one name, MissingPackageError for an address that
    nothing here reaches.
    """
    refuse_empty(output, "the folder of results")
    found: dict[str, _Found] = {}
    for given in inputs:
        for one in _far(given) if is_address(given) else _near(given, output):
            first = found.setdefault(one.entry.name, one)
            if one.row and one.relative != first.relative:
                found.setdefault(one.row, _second_result(one, first))
    if not found:
        raise InputError(f"no picture found in {', '.join(inputs)}; expected pictures, .tar, .csv or .parquet")
    kept = [_inside(one) for one in found.values()]
    free = [one for one in kept if not one.row]
    root = canonical(output) if is_address(output) else output
    names = iter(result_names([Path(one.relative) for one in free], suffix))
    items = []
    for one in kept:
        name = one.relative if one.row else next(names)
        target = f"{root.rstrip('/')}/{name.as_posix()}"
        items.append(ArchiveItem(entry=one.entry, target=target, stamp=one.stamp, fault=one.fault))
    good = [item for item in items if not item.fault]
    refuse_collisions(good)
    for item in good:
        if item.is_file and not is_address(output):
            refuse_same_file(Path(item.source), Path(item.target), ever=False)
    return items


def _inside(found: _Found) -> _Found:
    """The same, with a name below the folder of results, or the fault that it has none there."""
    parts = found.relative.parts[1:] if found.relative.anchor else found.relative.parts
    if parts and ".." not in parts:
        return replace(found, relative=PurePosixPath(*parts))
    led = f"{found.row}: {found.relative}" if found.row else f"{found.entry.name}: its name"
    fault = found.fault or f"{led} leads out of the folder of results; name it otherwise"
    # A name that no other item has: the fault is told, and nothing is written.
    return _Found(
        entry=found.entry, relative=PurePosixPath(f"{zlib.crc32(found.entry.name.encode())}.png"), fault=fault
    )


def _second_result(found: _Found, first: _Found) -> _Found:
    fault = (
        f"{found.row}: {found.entry.name} becomes {first.relative} already, and a picture has one result; leave "
        f"{found.relative} out, or make it a copy of that, or of the picture"
    )
    return _no_picture(found.row, fault)


def _no_picture(row: str, fault: str) -> _Found:
    return _Found(entry=Entry(name=row, file=""), relative=PurePosixPath(".."), stamp=[0], fault=fault)


def _near(given: str, output: str) -> Iterator[_Found]:
    out = Path("/nowhere" if is_address(output) else output)
    kinds = {_TAR, *FILM_SUFFIXES, *(LISTINGS & {PurePosixPath(given).suffix.lower()})}
    films = 0
    for path, name in sources_of([given], out, lambda path: is_picture(path) or path.suffix.lower() in kinds).items():
        relative = PurePosixPath(name.as_posix())
        if path.suffix.lower() in FILM_SUFFIXES and not os.path.isfile(given):
            films += 1
        elif path.suffix.lower() == _TAR:
            yield from _members(path, str(path), relative, stamp(path))
        elif path.suffix.lower() in LISTINGS:
            yield from _listed(path, str(path.parent))
        else:
            yield _Found(entry=Entry(name=str(path), file=path), relative=relative)
    _say_films(films, given)


def _far(given: str) -> Iterator[_Found]:
    system, path = remote(given)
    bare = without_query(path)
    with guarded(f"{given} cannot be read", error=InputError, remedy="is the address right?"):
        if marks := [mark for mark in "*?[" if mark in bare]:
            files: Mapping[str, Any] = system.glob(path, detail=True)
            fixed = bare[: min(bare.index(mark) for mark in marks)]
            base = PurePosixPath(fixed.rpartition("/")[0] or "/")
        elif bare == path and system.isdir(path):
            files, base = system.find(path, detail=True), PurePosixPath(path)
        else:
            files, base = {path: system.info(path)}, PurePosixPath(bare).parent
    films = 0
    for name, about in sorted(files.items()):
        file = PurePosixPath(without_query(name))
        kind = file.suffix.lower()
        address = str(system.unstrip_protocol(name))
        version = next((about[key] for key in _VERSIONS if about.get(key)), "")
        told = [int(about.get("size") or 0), zlib.crc32(str(version).encode())]
        relative = file.relative_to(base) if file.is_relative_to(base) else PurePosixPath(file.name)
        if about.get("type") == "directory" or file.name.startswith("."):
            continue
        if kind == _TAR:
            yield from _members(address, address, relative, told)
        elif kind in LISTINGS and (len(files) == 1 or kind == PurePosixPath(bare).suffix.lower()):
            yield from _listed(address, without_query(address).rpartition("/")[0])
        elif kind in READABLE_SUFFIXES or len(files) == 1:
            yield _Found(entry=Entry(name=address, file=address), relative=relative, stamp=told)
        else:
            films += kind in FILM_SUFFIXES
    _say_films(films, given)


def _say_films(number: int, given: str) -> None:
    if number:
        warnings.warn(f"{counted(number, 'film')} in {given} passed over; `gpen restore` does films", stacklevel=2)


def _members(file: Path | str, name: str, relative: PurePosixPath, told: Stamp) -> Iterator[_Found]:
    """The pictures of a tar archive, in a folder of its name, of several with one name the last, as tar unpacks them; a
    damaged one tells so after the last that is whole.
    """
    entries: dict[PurePosixPath, Entry] = {}
    fault = ""
    try:
        for entry in scan(file, name, READABLE_SUFFIXES):
            entries[PurePosixPath(entry.name[len(name) + 1 :].lstrip("/"))] = entry
    except InputError as error:
        fault = str(error)
    for inner, entry in entries.items():
        place = [entry.offset, entry.length or 0, *(told or ())]
        yield _Found(entry=entry, relative=relative.with_suffix("") / inner, stamp=place)
    if fault:
        yield _Found(entry=Entry(name=name, file=file), relative=relative, stamp=told, fault=fault)


def _listed(file: Path | str, folder: str) -> Iterator[_Found]:
    """The rows of a listing; results keep the folders below the one that all inputs share."""
    rows = list(read_listing(file))
    where = [_located(row.input, folder) for row in rows]
    bare = [PurePosixPath(without_query(place).partition("://")[2] or place) for place in where]
    parents = [path.parent.parts for path, row in zip(bare, rows, strict=True) if row.input]
    shared = 0
    while parents and all(len(p) > shared and p[shared] == parents[0][shared] for p in parents):
        shared += 1
    for row, place, path in zip(rows, where, bare, strict=True):
        if row.fault:
            yield _no_picture(row.name, row.fault)
            continue
        entry = Entry(name=place, file=place if is_address(place) else Path(place))
        relative = PurePosixPath(row.output) if row.output else PurePosixPath(*path.parts[shared:])
        told = _NOT_ASKED if is_address(place) else None
        yield _Found(entry=entry, relative=relative, stamp=told, row=row.name if row.output else "")


def _located(name: str, folder: str) -> str:
    """A row's path or address; a path is below the listing's folder."""
    if is_address(name) or not name:
        return name
    if is_address(folder):
        protocol, _, path = folder.partition("://")
        return f"{protocol}://{os.path.normpath(f'{path}/{name}')}"
    return os.path.abspath(Path(folder, name))
