"""Training sets in WebDataset shards: plain tar archives of pictures, and an index that says where in them each lies.

Any picture is one read at a known place, so a run goes on in the middle of a shard, in any order, from a disk or, by
fsspec, from an object store. Shards without an index are read through once.
"""

from __future__ import annotations

import json
import tarfile
import warnings
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from ..archives import Entry, scan
from ..errors import InputError, TrainingError
from ..files import files_below, replacing

INDEX = "shards.json"
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})

#: Of a picture in an index: its name in the shard, offset, length, width and height.
_ROW = [str, int, int, int, int]


def write_shards(root: Path, out: Path, *, shard_bytes: int, name: str = "faces") -> int:
    """Packs the pictures below `root` into OUT/NAME-000000.tar and so on, with their index; how many there are.

    The same pictures give the same bytes. Raises TrainingError where there are none, or `out` holds shards already.
    """
    paths = [path for path in files_below(root) if path.suffix.lower() in SUFFIXES]
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

    Raises TrainingError for shards that cannot be read, or where there are none.
    """
    shards, count = {}, 0
    found = sorted(folder.glob("*.tar"))
    if not found:
        raise TrainingError(f"{folder} holds no shards; an index stands beside the .tar files that it is of")
    for path in found:
        members = []
        for entry in faces_in(path, path.name):
            size = entry.picture_size()
            members.append([entry.name.removeprefix(f"{path.name}/"), entry.offset, entry.length, *(size or (0, 0))])
        shards[path.name] = {"bytes": path.stat().st_size, "pictures": members}
        count += len(members)
    with replacing(folder / INDEX) as temporary:
        temporary.write_text(json.dumps({"version": 1, "shards": shards}, ensure_ascii=False), encoding="utf-8")
    return count


class Index:
    """What an index says of the shards beside it; empty where there is none."""

    def __init__(self, text: bytes | None, where: str) -> None:
        try:
            shards: Any = {} if text is None else json.loads(text)["shards"]
        except (ValueError, KeyError, TypeError) as error:
            raise TrainingError(f"the index {where} is damaged ({error!r}); make it anew: training/shard.py") from error
        if not isinstance(shards, dict) or not all(map(_is_shard, shards.values())):
            raise TrainingError(f"the index {where} is damaged (of other shape); make it anew: training/shard.py")
        self._shards = shards

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


def _is_shard(known: Any) -> bool:
    """Whether this is what `write_index` says of a shard."""
    return (
        isinstance(known, dict)
        and type(known.get("bytes")) is int
        and isinstance(known.get("pictures"), list)
        and all(isinstance(row, list) and [*map(type, row)] == _ROW for row in known["pictures"])
    )


def faces_in(path: Path | str, name: str) -> Iterator[Entry]:
    """The pictures of a shard without an index. Raises TrainingError where it cannot be read."""
    try:
        yield from scan(path, name, SUFFIXES)
    except InputError as error:
        raise TrainingError(str(error)) from error
