"""Folders of restored pictures against folders of originals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import PictureError
from ..images.picture import to_depth
from ..images.reading import read_picture
from .metrics import FIGURES, frechet_distance, perceptual_distance
from .perceptual import DetectorFeatures, feature_distance

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True, kw_only=True)
class Extras:
    """Figures that need weights. identity: an ArcFace file (see `measures.embedders.read_arcface`)."""

    lpips: bool = False
    fid: bool = False
    identity: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Means over all pairs, each pair's figures by stem, and the originals without a partner."""

    means: dict[str, float]
    pictures: dict[str, dict[str, float]]
    missing: list[str]


def compare_folders(folder: Path, originals: Path, extras: Extras) -> Comparison:
    """Every original beside the picture of the same stem in `folder`, brought to the original's size by area where it
    differs.

    Raises PictureError where there is nothing to compare, or a picture cannot be read.
    """
    wanted = _pictures(originals)
    given = _pictures(folder)
    pairs = {stem: (given[stem], path) for stem, path in wanted.items() if stem in given}
    if not pairs:
        raise PictureError(f"{folder} and {originals} share no picture; they pair by file name without its ending")
    measures = {**FIGURES, "perceptual": feature_distance(DetectorFeatures()), **_extra_measures(extras)}
    frechet = frechet_distance() if extras.fid else None
    rows: dict[str, dict[str, float]] = {}
    for stem, (result_path, original_path) in pairs.items():
        original, result = _read(original_path), _read(result_path)
        if result.shape != original.shape:
            result = F.interpolate(result, original.shape[-2:], mode="area")
        rows[stem] = {name: float(measure(result, original)) for name, measure in measures.items()}
        if frechet is not None:
            frechet.update(original, real=True)
            frechet.update(result, real=False)
    means = {name: float(np.mean([row[name] for row in rows.values()])) for name in measures}
    if frechet is not None:
        means["fid"] = float(frechet.compute())
    return Comparison(means=means, pictures=rows, missing=[s for s in wanted if s not in given])


def _extra_measures(extras: Extras) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    measures: dict[str, Callable[[Tensor, Tensor], Tensor]] = {}
    if extras.lpips:
        measures["lpips"] = perceptual_distance()
    if extras.identity is not None:
        from .embedders import identity_measure

        measures["identity"] = identity_measure(extras.identity)
    return measures


def _pictures(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise PictureError(f"{folder} is not a folder of pictures")
    return {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in _SUFFIXES}


def _read(path: Path) -> Tensor:
    levels = to_depth(read_picture(path).pixels, np.uint8)
    return torch.from_numpy(np.ascontiguousarray(levels.transpose(2, 0, 1)))[None].float() / 255
