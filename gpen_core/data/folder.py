"""A folder of aligned faces, as files or WebDataset shards: checked when opened, and never a crash in the middle of a
run.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import itertools
import tarfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ..errors import PictureError, TrainingError
from ..images.picture import to_depth
from ..images.reading import decode_picture

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
_SHOWN = 5
# Headers of every file in a folder are read at the start; of shards, which may hold millions, this many.
_CHECKED_IN_SHARDS = 2_000


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A picture: a file, or a stretch of a tar archive. name: its path below the root, for messages and weights."""

    name: str
    file: Path
    offset: int = 0
    length: int | None = None

    def read(self) -> bytes:
        """The encoded picture."""
        with self.file.open("rb") as file:
            file.seek(self.offset)
            return file.read(-1 if self.length is None else self.length)


class FaceFolder:
    """The square pictures of a folder, its subfolders and the .tar shards in it, as RGB of `size` pixels.

    upscale: whether pictures smaller than `size` may be enlarged; otherwise they are refused.
    weights: how much each source is wanted (see `read_weights`).
    Raises TrainingError for a folder without readable pictures, for sizes that do not fit, and names the files.
    """

    def __init__(
        self, root: str | Path, size: int, *, upscale: bool = False, weights: Mapping[str, float] | None = None
    ) -> None:
        self.root, self.size = Path(root), size
        if not self.root.is_dir():
            raise TrainingError(f"{self.root} is not a folder; training takes a folder of aligned face pictures")
        self.entries = list(_entries(self.root))
        if not self.entries:
            suffixes = ", ".join(sorted(SUFFIXES))
            raise TrainingError(f"{self.root} holds no pictures ({suffixes}, or .tar of them); give aligned faces")
        self.unreadable: list[str] = []
        self._check(upscale)
        gone = set(self.unreadable)
        self.entries = [entry for entry in self.entries if entry.name not in gone]
        if not self.entries:
            raise TrainingError(
                f"none of the {len(gone)} pictures in {self.root} can be read: {_some(self.unreadable)}"
            )
        self.weights = None if weights is None else [_weight(PurePosixPath(e.name), weights) for e in self.entries]

    def __len__(self) -> int:
        return len(self.entries)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Their number and a hash of their names, lengths and weights; where the folder lies does not matter."""
        digest = hashlib.sha256()
        for entry, weight in zip(self.entries, self.weights or itertools.repeat(1.0), strict=False):
            length = entry.file.stat().st_size if entry.length is None else entry.length
            digest.update(f"{entry.name}\t{length}\t{weight:g}\n".encode())
        return f"{len(self)} pictures ({digest.hexdigest()[:12]})"

    def load(self, index: int) -> Tensor:
        """Picture `index` as (3, size, size) uint8 RGB; if undecodable, the next that can be, with a warning."""
        return self.load_with_entry(index)[0]

    def load_with_entry(self, index: int) -> tuple[Tensor, Entry]:
        """What `load` gives, and where it is from."""
        for step in range(len(self.entries)):
            entry = self.entries[(index + step) % len(self.entries)]
            try:
                picture = decode_picture(entry.read(), Path(entry.name), max_pixels=None, allow_truncated=False)
            except (PictureError, OSError) as error:
                warnings.warn(f"{error}; another picture takes its place", RuntimeWarning, stacklevel=2)
                continue
            pixels = to_depth(picture.pixels, np.uint8)
            if picture.width != self.size:
                shrinking = picture.width > self.size
                filtering = Image.Resampling.BOX if shrinking else Image.Resampling.BICUBIC
                pixels = np.array(Image.fromarray(pixels).resize((self.size, self.size), filtering))
            return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))), entry
        raise TrainingError(
            f"none of the {len(self)} pictures in {self.root} can be decoded any more; is the disk there?"
        )

    def _check(self, upscale: bool) -> None:
        files = [e for e in self.entries if e.length is None]
        sharded = [e for e in self.entries if e.length is not None]
        stride = max(1, len(sharded) // _CHECKED_IN_SHARDS)
        small: list[str] = []
        oblong: list[str] = []
        for entry in files + sharded[::stride]:
            shape = _shape(entry)
            if shape is None:
                self.unreadable.append(entry.name)
            elif shape[0] != shape[1]:
                oblong.append(f"{entry.name} ({shape[0]}×{shape[1]})")
            elif shape[0] < self.size and not upscale:
                small.append(f"{entry.name} ({shape[0]}×{shape[1]})")
        if oblong:
            raise TrainingError(
                f"{len(oblong)} pictures in {self.root} are not square: {_some(oblong)}; "
                "align them with training/prepare.py"
            )
        if small:
            raise TrainingError(
                f"{len(small)} pictures in {self.root} are smaller than {self.size}×{self.size}: {_some(small)}; "
                "leave them out, train smaller (network.size), or allow it (data.upscale = true)"
            )


def read_weights(path: str | Path) -> dict[str, float]:
    """Source → weight from a CSV with the columns `source` and `weight`.

    A source is a folder below the root, or what a file's name begins with before an underscore; others weigh 1.
    Raises TrainingError naming the line that does not fit.
    """
    weights: dict[str, float] = {}
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"the weights {path} cannot be read ({error}); give a CSV of source, weight") from error
    reader = csv.DictReader(io.StringIO(text))
    if not {"source", "weight"} <= set(reader.fieldnames or ()):
        raise TrainingError(f"{path} has the columns {reader.fieldnames}; it needs source and weight")
    for row in reader:
        try:
            weights[row["source"]] = float(row["weight"])
        except (TypeError, ValueError) as error:
            raise TrainingError(f"{path}, line {reader.line_num}: the weight {row['weight']!r} is no number") from error
    return weights


def _entries(root: Path) -> Iterator[Entry]:
    for path in sorted(root.rglob("*")):
        if path.name.startswith(".") or not path.is_file():
            continue
        name = path.relative_to(root).as_posix()
        if path.suffix.lower() in SUFFIXES:
            yield Entry(name=name, file=path)
        elif path.suffix.lower() == ".tar":
            yield from _shard(path, name)


def _shard(path: Path, name: str) -> Iterator[Entry]:
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                if member.isfile() and PurePosixPath(member.name).suffix.lower() in SUFFIXES:
                    yield Entry(name=f"{name}/{member.name}", file=path, offset=member.offset_data, length=member.size)
    except (tarfile.TarError, OSError) as error:
        raise TrainingError(f"the shard {path} cannot be read ({error}); make it anew or leave it out") from error


def _weight(path: PurePosixPath, weights: Mapping[str, float]) -> float:
    """Of the longest source that names a folder of `path` or begins its file name; 1 where none does."""
    matches = [s for s in weights if s in path.parts[:-1] or path.name.startswith(f"{s}_")]
    return weights[max(matches, key=len)] if matches else 1.0


def _shape(entry: Entry) -> tuple[int, int] | None:
    try:
        with Image.open(entry.file if entry.length is None else io.BytesIO(entry.read())) as picture:
            width, height = picture.size
            return width, height
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError):
        return None


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
