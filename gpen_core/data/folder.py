"""A folder of aligned faces, as files or shards, here or far away: checked when opened, and never a crash in the middle
of a run.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import io
import itertools
import math
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..archives import Entry, is_address, listed
from ..errors import ConfigError, InputError, PictureError, TrainingError
from ..files import files_below
from ..images.damage import guarded
from ..images.picture import to_depth
from ..images.reading import decode_picture
from .shards import INDEX, SUFFIXES, Index, faces_in

_SHOWN = 5
# Headers of every file in a folder are read at the start; of shards, which may hold millions, this many.
_CHECKED_IN_SHARDS = 2_000


class FaceFolder:
    """The square pictures of a folder, its subfolders and the .tar shards in it, as RGB of `size` pixels.

    root: a folder, or an address that fsspec knows (s3://…).
    upscale: whether pictures smaller than `size` may be enlarged; otherwise they are refused.
    weights: how much each source is wanted (see `read_weights`).
    Raises TrainingError for a folder without readable pictures, for sizes that do not fit, and names the files;
    ConfigError for a size below 1.
    """

    def __init__(
        self, root: str | Path, size: int, *, upscale: bool = False, weights: Mapping[str, float] | None = None
    ) -> None:
        if size < 1:
            raise ConfigError(f"size is {size}; pictures are at least 1 pixel wide")
        self.root, self.size = root if isinstance(root, str) and is_address(root) else Path(root), size
        if isinstance(self.root, Path) and not self.root.is_dir():
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
            raise TrainingError(f"none of the {len(gone)} pictures in {self.root} can be read: {some(self.unreadable)}")
        self.weights: list[float] | None = None
        if weights is not None:
            sources = [_source(PurePosixPath(entry.name), weights) for entry in self.entries]
            self.weights = [1.0 if source is None else weights[source] for source in sources]
            if unknown := [source for source in weights if source not in {*sources}]:
                warnings.warn(
                    f"no picture in {self.root} is of the source {some(unknown)}, which the weights name",
                    RuntimeWarning,
                    stacklevel=2,
                )

    def __len__(self) -> int:
        return len(self.entries)

    @functools.cached_property
    def fingerprint(self) -> str:
        """Their number and a hash of their names, lengths and weights; where the folder lies does not matter."""
        digest = hashlib.sha256()
        for entry, weight in zip(self.entries, self.weights or itertools.repeat(1.0), strict=False):
            length = (
                entry.file.stat().st_size if isinstance(entry.file, Path) and entry.length is None else entry.length
            )
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
                # What reads from afar has errors of any class.
                with guarded(f"{entry.name} cannot be read"):
                    data = entry.read()
                picture = decode_picture(data, Path(entry.name), max_pixels=None, allow_truncated=False)
            except PictureError as error:
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
        # An index has told already, at no cost.
        files = [e for e in self.entries if e.size is not None or (e.length is None and isinstance(e.file, Path))]
        sharded = [e for e in self.entries if e.size is None and (e.length is not None or isinstance(e.file, str))]
        stride = max(1, len(sharded) // _CHECKED_IN_SHARDS)
        small: list[str] = []
        oblong: list[str] = []
        for entry in files + sharded[::stride]:
            shape = _size_of(entry)
            if shape is None or 0 in shape:
                self.unreadable.append(entry.name)
            elif shape[0] != shape[1]:
                oblong.append(f"{entry.name} ({shape[0]}×{shape[1]})")
            elif shape[0] < self.size and not upscale:
                small.append(f"{entry.name} ({shape[0]}×{shape[1]})")
        if oblong:
            raise TrainingError(
                f"{len(oblong)} pictures in {self.root} are not square: {some(oblong)}; "
                "align them with training/prepare.py"
            )
        if small:
            raise TrainingError(
                f"{len(small)} pictures in {self.root} are smaller than {self.size}×{self.size}: {some(small)}; "
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
            weight = float(row["weight"])
        except (TypeError, ValueError) as error:
            raise TrainingError(f"{path}, line {reader.line_num}: the weight {row['weight']!r} is no number") from error
        if not 0 <= weight < math.inf:
            raise TrainingError(f"{path}, line {reader.line_num}: the weight is {weight}; expected 0 or more")
        weights[row["source"]] = weight
    return weights


def _entries(root: Path | str) -> Iterator[Entry]:
    files = _remote_files(root) if isinstance(root, str) else _files(root)
    indices: dict[str, Index] = {}
    for file, name, size in files:
        suffix = PurePosixPath(name).suffix.lower()
        if suffix in SUFFIXES:
            yield Entry(name=name, file=file)
        elif suffix == ".tar":
            folder = PurePosixPath(name).parent.as_posix()
            if folder not in indices:
                indices[folder] = _index(root, folder)
            known = indices[folder].entries(file, name, size)
            yield from faces_in(file, name) if known is None else known


def _files(root: Path) -> Iterator[tuple[Path, str, int]]:
    for path in files_below(root):
        yield path, path.relative_to(root).as_posix(), path.stat().st_size if path.suffix.lower() == ".tar" else 0


def _remote_files(root: str) -> Iterator[tuple[str, str, int]]:
    try:
        files = list(listed(root))
    except (InputError, PictureError) as error:
        raise TrainingError(str(error)) from error
    yield from ((file, name, size) for file, name, size in files if not PurePosixPath(name).name.startswith("."))


def _size_of(entry: Entry) -> tuple[int, int] | None:
    """Width and height; None where they cannot be had."""
    try:
        with guarded(f"{entry.name} cannot be read"):
            return entry.picture_size()
    except PictureError:
        return None


def _index(root: Path | str, folder: str) -> Index:
    below = PurePosixPath(folder, INDEX)  # an object store takes `./` for a part of the name
    entry = Entry(name=INDEX, file=f"{root.rstrip('/')}/{below}" if isinstance(root, str) else root / below)
    said = f"the index {entry.file} cannot be read"
    try:
        with guarded(said, error=TrainingError, passing=(FileNotFoundError,)):
            text = entry.read()
    except FileNotFoundError:
        text = None
    return Index(text, str(entry.file))


def _source(path: PurePosixPath, weights: Mapping[str, float]) -> str | None:
    """The longest source that names a folder of `path` or begins its file name; None where none does."""
    matches = [s for s in weights if s in path.parts[:-1] or path.name.startswith(f"{s}_")]
    return max(matches, key=len, default=None)


def some(names: list[str]) -> str:
    """The first of these names, and how many more there are."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
