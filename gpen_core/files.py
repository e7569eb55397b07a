"""Files that appear whole or not at all, and what killed processes leave of them."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import json
import os
import re
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import InputError

try:
    import fcntl
except ImportError:  # Windows: a file that is open there cannot be removed, which serves as well
    fcntl = None  # type: ignore[assignment]

#: The name of a temporary file made here; nobody else's is touched.
_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{32}\.part", re.DOTALL)
#: Where files cannot be locked, a temporary one is left alone for so many seconds after its last change.
_PATIENCE = 3600
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_EXCLUSIVELY = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINK
#: Bytes that a name may have on nearly every file system.
LONGEST_NAME = 255


def refuse_missing(inputs: Sequence[str | Path]) -> None:
    """Raises InputError for the first that is no file, folder or pattern; asked before anything is loaded for them."""
    for given in inputs:
        if not os.path.exists(given) and not glob.has_magic(str(given)):
            raise InputError(f"{given}: no such file or folder")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new, empty temporary file beside `path` to write to: it takes `path`'s place at the end, or is removed on any
    error.

    Its name is its own in each call, so any number of processes may write `path` at once; it is made exclusively,
    following no link. It is locked while it is in use: `sweep` removes it after a kill, and only then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, held = _temporary_beside(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        if held is not None:
            os.close(held)


def _temporary_beside(path: Path) -> tuple[Path, int | None]:
    """A file of our own, and the descriptor that keeps it locked."""
    while True:
        temporary = path.with_name(f".{path.name[:24]}.{uuid.uuid4().hex}.part")
        held = os.open(temporary, _EXCLUSIVELY, 0o666)
        if fcntl is None:  # Windows renames no file that is open
            os.close(held)
            return temporary, None
        with contextlib.suppress(BlockingIOError):  # a sweep came between
            _lock(held)
            if _is(held, temporary):
                return temporary, held
        os.close(held)


def sweep(folder: Path) -> None:
    """Removes the temporary files that killed processes left in `folder`; those in use stay, and other people's."""
    try:
        with os.scandir(folder) as entries:
            left = [Path(entry.path) for entry in entries if _TEMPORARY.fullmatch(entry.name)]
    except OSError:
        return
    for path in left:
        with contextlib.suppress(OSError):  # in use, or another's
            if fcntl is None:
                if time.time() - path.stat().st_mtime > _PATIENCE:
                    path.unlink()
                continue
            held = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if _lock(held):
                    path.unlink()
            finally:
                os.close(held)


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Keeps other processes from claiming `path` meanwhile, by a lock file beside it that a kill lets go of.

    Raises InputError where another has it. Where files cannot be locked, nothing is kept from anybody.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name("." + shortened(path.name, less=6) + ".lock")
    held = _claim(lock, path)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            lock.unlink()
        os.close(held)


def _claim(lock: Path, path: Path) -> int:
    while True:
        held = os.open(lock, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o666)
        try:
            _lock(held)
        except BlockingIOError:
            os.close(held)
            raise InputError(
                f"another run is writing {path}; wait until it is done, or give this one another place"
            ) from None
        if _is(held, lock):  # not one that its owner has just removed
            return held
        os.close(held)


def shortened(name: str, *, less: int = 0) -> str:
    """`name`, or where it has more bytes than file systems take, `less` subtracted, its beginning, eight letters that
    depend on all of it, and its suffix.
    """
    room = LONGEST_NAME - less
    whole = os.fsencode(name)
    if len(whole) <= room:
        return name
    suffix = Path(name).suffix if len(os.fsencode(Path(name).suffix)) <= 16 else ""
    mark = "~" + hashlib.sha256(whole).hexdigest()[:8] + suffix
    stem = whole[: room - len(os.fsencode(mark))].decode(errors="ignore")
    return stem + mark


def _lock(file: int) -> bool:
    """Whether an open file is now locked for this process: not where the file system has no locks.

    Raises BlockingIOError where another has locked it.
    """
    try:
        if fcntl is None:
            import msvcrt

            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise BlockingIOError(error.errno, "locked by another process") from error
        return False
    return True


def _is(file: int, path: Path) -> bool:
    """Whether `path` still names the open file."""
    try:
        return os.path.samestat(os.fstat(file), os.lstat(path))
    except OSError:
        return False


def files_below(folder: Path) -> list[Path]:
    """The files in a folder and in those below it, hidden ones left out, sorted by path.

    Links to folders are followed, each folder once; links that lead nowhere are no files.
    """
    known: set[str] = set()
    found: list[Path] = []
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in known:
            folders.clear()
            continue
        known.add(real)
        folders.sort()
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(path for path in found if path.is_file())


def is_same_file(one: Path, other: Path) -> bool:
    """Whether two names, however spelt, are of one file that is there."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return False


def json_lines(lines: Iterable[bytes]) -> Iterator[Any]:
    """What each whole line holds, None for one that is no JSON; a last one that a kill cut short is left out."""
    for line in lines:
        if not line.endswith(b"\n"):
            return
        try:
            yield json.loads(line)
        except ValueError:
            yield None
