"""A folder of aligned faces: checked when opened, and never a crash in the middle of a run."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from ..errors import TrainingError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"})
_SHOWN = 5


class FaceFolder:
    """The pictures of a folder and its subfolders, square, RGB, brought to `size` pixels.

    upscale: whether pictures smaller than `size` may be enlarged; otherwise they are refused.
    weights: how much each source is wanted (see `read_weights`); its name is looked for in the picture's path below
    `root`.
    Raises TrainingError for a folder without readable pictures, for sizes that do not fit, and names the files.
    """

    def __init__(
        self, root: str | Path, size: int, *, upscale: bool = False, weights: Mapping[str, float] | None = None
    ) -> None:
        self.root, self.size = Path(root), size
        if not self.root.is_dir():
            raise TrainingError(f"{self.root} is not a folder; --data takes a folder of aligned face pictures")
        found = sorted(p for p in self.root.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
        if not found:
            raise TrainingError(
                f"{self.root} holds no pictures ({', '.join(sorted(SUFFIXES))}); --data takes a folder of aligned faces"
            )
        self.unreadable: list[Path] = []
        self.files: list[Path] = []
        small: list[str] = []
        oblong: list[str] = []
        for path in found:
            shape = _shape(path)
            if shape is None:
                self.unreadable.append(path)
                continue
            if shape[0] != shape[1]:
                oblong.append(f"{path.name} ({shape[0]}×{shape[1]})")
            elif shape[0] < size and not upscale:
                small.append(f"{path.name} ({shape[0]}×{shape[1]})")
            self.files.append(path)
        if not self.files:
            raise TrainingError(
                f"none of the {len(found)} pictures in {self.root} can be read, for instance {found[0].name}"
            )
        if oblong:
            raise TrainingError(
                f"{len(oblong)} pictures in {self.root} are not square: {_some(oblong)};"
                " align them with training/prepare.py"
            )
        if small:
            raise TrainingError(
                f"{len(small)} pictures in {self.root} are smaller than {size}×{size}: {_some(small)};"
                " leave them out, train smaller, or set data.upscale"
            )
        self.weights = None if weights is None else [_weight(p.relative_to(self.root), weights) for p in self.files]

    def __len__(self) -> int:
        return len(self.files)

    def load(self, index: int) -> Tensor:
        """Picture `index` as (3, size, size) uint8 RGB; where it cannot be decoded, the next one that can, with a
        warning.
        """
        for step in range(len(self.files)):
            path = self.files[(index + step) % len(self.files)]
            try:
                with Image.open(path) as picture:
                    rgb = picture.convert("RGB")
                    if rgb.width != self.size:
                        shrinking = rgb.width > self.size
                        rgb = rgb.resize(
                            (self.size, self.size), Image.Resampling.BOX if shrinking else Image.Resampling.BICUBIC
                        )
                    return torch.from_numpy(np.array(rgb)).permute(2, 0, 1).contiguous()
            except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
                warnings.warn(
                    f"{path} cannot be decoded ({error}); another picture takes its place", RuntimeWarning, stacklevel=2
                )
        raise TrainingError(
            f"none of the {len(self.files)} pictures in {self.root} can be decoded any more; is the disk still there?"
        )


def read_weights(path: str | Path) -> dict[str, float]:
    """Source → weight from a CSV with the columns `source` and `weight`. Raises TrainingError naming the line that
    does not fit.
    """
    weights: dict[str, float] = {}
    with Path(path).open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if not {"source", "weight"} <= set(reader.fieldnames or ()):
            raise TrainingError(f"{path} has the columns {reader.fieldnames}; it needs source and weight")
        for row in reader:
            try:
                weights[row["source"]] = float(row["weight"])
            except ValueError as error:
                raise TrainingError(
                    f"{path}, line {reader.line_num}: the weight {row['weight']!r} is not a number"
                ) from error
    return weights


def _weight(path: Path, weights: Mapping[str, float]) -> float:
    """Of the longest source that names a folder of `path` or begins its file name; 1 where none does."""
    matches = [s for s in weights if s in path.parts[:-1] or path.name.startswith(f"{s}_")]
    return weights[max(matches, key=len)] if matches else 1.0


def _shape(path: Path) -> tuple[int, int] | None:
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            return width, height
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError):
        return None


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
