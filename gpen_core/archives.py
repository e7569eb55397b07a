"""Pictures here or far away, as files of their own or inside tar archives: each is one read at a known place."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image, UnidentifiedImageError

from .errors import InputError, MissingPackageError
from .images.damage import guarded


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A picture: a file, or a stretch of a tar archive. name: its path below the root, for messages and weights.

    file: a path, or an address that fsspec knows. size: width and height, where an index tells them.
    """

    name: str
    file: Path | str
    offset: int = 0
    length: int | None = None
    size: tuple[int, int] | None = None

    def read(self) -> bytes:
        """The encoded picture."""
        end = None if self.length is None else self.offset + self.length
        if isinstance(self.file, str):
            system, path = remote(self.file)
            content: bytes = system.cat_file(path, start=self.offset, end=end)
            return content
        with self.file.open("rb") as file:
            file.seek(self.offset)
            return file.read(-1 if self.length is None else self.length)

    def picture_size(self) -> tuple[int, int] | None:
        """Width and height; None where it is no picture."""
        if self.size is not None:
            return self.size
        try:
            whole = isinstance(self.file, str) or self.length is not None
            with Image.open(io.BytesIO(self.read()) if whole else self.file) as picture:
                width, height = picture.size
                return width, height
        except (OSError, UnidentifiedImageError, SyntaxError, ValueError):
            return None


def scan(path: Path | str, name: str, suffixes: Container[str]) -> Iterator[Entry]:
    """The files with these suffixes in a tar archive, by reading all its headers. Raises InputError where it cannot be
    read.
    """
    # What reads from afar has errors of any class.
    with (
        guarded(f"the archive {path} cannot be read", error=InputError, remedy="make it anew or leave it out"),
        opened(path) as file,
        tarfile.open(fileobj=file, mode="r:") as archive,
    ):
        for member in archive:
            if member.isfile() and PurePosixPath(member.name).suffix.lower() in suffixes:
                yield Entry(name=f"{name}/{member.name}", file=path, offset=member.offset_data, length=member.size)


def listed(root: str) -> Iterable[tuple[str, str, int]]:
    """(address, path below `root`, bytes) of every file below an address, none where there is no such place.

    Raises InputError where it cannot be read.
    """
    system, base = remote(root)
    said, remedy = f"{root} cannot be read", "is the address right?"
    try:
        with guarded(said, error=InputError, remedy=remedy, passing=(FileNotFoundError,)):
            system.invalidate_cache()  # others write there
            files = sorted(system.find(base, detail=True).items())
    except FileNotFoundError:
        return
    for path, about in files:
        below = PurePosixPath(path.lstrip("/")).relative_to(base.lstrip("/")).as_posix()
        yield system.unstrip_protocol(path), below, int(about["size"] or 0)


def remote(address: str) -> tuple[Any, str]:
    """(fsspec's file system, path in it). Raises MissingPackageError where its package is not installed, PictureError
    where it cannot be reached.
    """
    import fsspec

    with guarded(f"{address} cannot be reached"):
        try:
            system, path = fsspec.core.url_to_fs(address)
        except (ImportError, ValueError) as error:
            raise MissingPackageError(f"{address} cannot be reached: {error}") from error
    return system, path


def is_address(name: str | Path) -> bool:
    """Whether it is for fsspec to reach, and no path."""
    return "://" in str(name)


def without_query(address: str) -> str:
    """An address on the web up to its query (a signature, say), which `?` begins there; others as they are."""
    return address.partition("?")[0] if address.startswith(("http://", "https://")) else address


def canonical(address: str) -> str:
    """The address as listings of its file system spell it."""
    system, path = remote(address)
    return str(system.unstrip_protocol(path))


def opened(path: Path | str) -> Any:
    """An open file, to be read as bytes."""
    if isinstance(path, Path):
        return path.open("rb")
    system, inner = remote(path)
    return system.open(inner, "rb")
