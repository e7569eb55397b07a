"""Training sets in WebDataset shards: plain tar archives of pictures, and an index that says where in them each lies.

Any picture is one read at a known place, so a run goes on in the middle of a shard, in any order, from a disk or, by
fsspec, from an object store. Shards without an index are read through once.
"""

from __future__ import annotations

import io
import json
import tarfile
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image, UnidentifiedImageError

from ..errors import MissingPackageError, TrainingError
from ..files import replacing

INDEX = "shards.json"
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})


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


def write_shards(root: Path, out: Path, *, shard_bytes: int, name: str = "faces") -> int:
    """Packs the pictures below `root` into OUT/NAME-000000.tar and so on, with their index; how many there are.

    The same pictures give the same bytes. Raises TrainingError where there are none, or `out` holds shards already.
    """
    paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    if not paths:
        raise TrainingError(f"{root} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    if any(out.glob("*.tar")):
        raise TrainingError(f"{out} holds shards already; give an empty folder")
    out.mkdir(parents=True, exist_ok=True)
    number = 0
    while paths:
        with replacing(out / f"{name}-{number:06d}.tar") as temporary, tarfile.open(temporary, "w") as archive:
            while paths and (archive.offset == 0 or archive.offset + paths[0].stat().st_size <= shard_bytes):
                path = paths.pop(0)
                member = tarfile.TarInfo(path.relative_to(root).as_posix())
                member.size = path.stat().st_size
                with path.open("rb") as file:
                    archive.addfile(member, file)
        number += 1
    return write_index(out)


def write_index(folder: Path) -> int:
    """Writes the index of the shards in `folder`; how many pictures they hold.

    Raises TrainingError for shards that cannot be read.
    """
    shards, count = {}, 0
    for path in sorted(folder.glob("*.tar")):
        members = []
        for entry in scan(path, path.name):
            size = entry.picture_size()
            members.append([entry.name.removeprefix(f"{path.name}/"), entry.offset, entry.length, *(size or (0, 0))])
        shards[path.name] = {"bytes": path.stat().st_size, "pictures": members}
        count += len(members)
    with replacing(folder / INDEX) as temporary:
        temporary.write_text(json.dumps({"version": 1, "shards": shards}, ensure_ascii=False), encoding="utf-8")
    return count


class Index:
    """What an index says of the shards beside it; empty where there is none."""

    def __init__(self, text: str | None, where: str) -> None:
        try:
            self._shards: dict[str, Any] = {} if text is None else json.loads(text)["shards"]
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"the index {where} is damaged ({error!r}); make it anew: training/shard.py") from error

    def entries(self, file: Path | str, name: str, size: int) -> list[Entry] | None:
        """Those of the shard `file` of so many bytes; None where the index does not know it, or another of its name."""
        shard = self._shards.get(PurePosixPath(name).name)
        if shard is None:
            return None
        if shard["bytes"] != size:
            warnings.warn(
                f"{file} has changed since its index was made; it is read through (training/shard.py makes it anew)",
                RuntimeWarning,
                stacklevel=2,
            )
            return None
        return [
            Entry(name=f"{name}/{inner}", file=file, offset=offset, length=length, size=(width, height))
            for inner, offset, length, width, height in shard["pictures"]
        ]


def scan(path: Path | str, name: str) -> Iterator[Entry]:
    """The pictures of a shard, by reading all its headers. Raises TrainingError where it cannot be read."""
    try:
        with _opened(path) as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                if member.isfile() and PurePosixPath(member.name).suffix.lower() in SUFFIXES:
                    yield Entry(name=f"{name}/{member.name}", file=path, offset=member.offset_data, length=member.size)
    except (tarfile.TarError, OSError) as error:
        raise TrainingError(f"the shard {path} cannot be read ({error}); make it anew or leave it out") from error


def listed(root: str) -> Iterable[tuple[str, str, int]]:
    """(address, path below `root`, bytes) of every file below an address."""
    system, base = remote(root)
    for path, about in sorted(system.find(base, detail=True).items()):
        below = PurePosixPath(path.lstrip("/")).relative_to(base.lstrip("/")).as_posix()
        yield system.unstrip_protocol(path), below, int(about["size"] or 0)


def remote(address: str) -> tuple[Any, str]:
    """(fsspec's file system, path in it). Raises MissingPackageError where its package is not installed."""
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise MissingPackageError(f"{address} cannot be reached: {error}") from error
    return system, path


def _opened(path: Path | str) -> Any:
    if isinstance(path, Path):
        return path.open("rb")
    system, inner = remote(path)
    return system.open(inner, "rb")
