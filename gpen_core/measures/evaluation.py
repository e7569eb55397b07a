"""A folder of results judged: every picture's figures, kept as they come, so that a stopped run goes on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, PictureError
from ..threads import side_by_side
from .catalogue import MEASURES, Call
from .frechet import Features, Gathering, Statistics, frechet_distance
from .kept import Kept
from .pairs import Loaded, fitted, load, paired_names, pictures_in

#: Pictures of one size judged at once.
_AT_ONCE = 8

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Folders:
    """What is judged, and what beside: originals, and the inputs that were restored. All pair by stem."""

    results: Path
    originals: Path | None = None
    inputs: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Each picture's figures by stem, the partners without a result, what is to be said, and FID where it was taken."""

    pictures: dict[str, dict[str, float]]
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fid: float | None = None

    @property
    def means(self) -> dict[str, float]:
        """Of every figure, over the pictures that have it."""
        names = next(iter(self.pictures.values()), {})
        columns = {name: [row[name] for row in self.pictures.values()] for name in names}
        means = {name: _mean(values) for name, values in columns.items()}
        return means if self.fid is None else {**means, "fid": self.fid}


@dataclass(frozen=True, kw_only=True)
class FrechetReference:
    """What FID is taken against: features of pictures, and statistics of the others."""

    features: Features
    statistics: Statistics


def evaluate(
    folders: Folders,
    measures: Mapping[str, Call],
    *,
    size: int = 0,
    cache: Path | None = None,
    revision: str = "",
    frechet: FrechetReference | None = None,
    lanes: int = 1,
    progress: Progress | None = None,
) -> Evaluation:
    """Every measure of every result that has its partner.

    measures: functions of (result, partner), by name: those of `catalogue.make`, and a caller's own. size: of the
    results, in pixels; 0 for any. cache: figures are
    kept there by the hashes of the files and taken from there. revision: tells apart figures that other weights give.
    lanes: threads that judge side by side, each with one core, by measures that several may call, as all of the
    catalogue may.
    Raises PictureError where there is nothing to compare, or a picture cannot be read or does not fit its partner.
    """
    results = pictures_in(folders.results)
    sides = {"original": folders.originals, "input": folders.inputs}
    partners = {side: pictures_in(folder) for side, folder in sides.items() if folder is not None}
    for name in measures:
        if _partner(name) not in ("nothing", *partners):
            raise InputError(f"{name} is taken against the {_partner(name)}s; give their folder, or leave it out")
    stems, missing = list(results), []
    for side, held in partners.items():
        folder = sides[side]
        assert folder is not None
        shared = paired_names(results, held, (folders.results, folder))
        missing += [stem for stem in held if stem not in results and stem not in missing]
        stems = [stem for stem in stems if stem in shared]
    gathering = Gathering() if frechet is not None else None
    rows: dict[str, dict[str, float]] = {}
    notes: list[str] = []
    with Kept(cache, 5) as kept:
        figures = _Figures(kept, revision)

        def judged(batch: _Batch) -> tuple[dict[str, dict[str, float]], Tensor | None]:
            if size and batch.pixels.shape[-2:] != (size, size):
                height, width = batch.pixels.shape[-2:]
                raise PictureError(f"{results[batch.stems[0]]} has {width}×{height} px; this protocol judges at {size}")
            features = None if frechet is None else frechet.features(batch.pixels)
            return _judged(batch, measures, figures), features

        for found, features in side_by_side(judged, _batches(stems, results, partners, notes), lanes):
            if gathering is not None and features is not None:
                gathering.add(features)
            rows.update(found)
            if progress is not None:
                progress(len(rows), len(stems))
    fid = None
    if gathering is not None and frechet is not None:
        fid = frechet_distance(gathering.statistics(), frechet.statistics)
    return Evaluation(pictures=rows, missing=missing, notes=notes, fid=fid)


def _partner(name: str) -> str:
    return MEASURES[name].partner if name in MEASURES else "original"


@dataclass(frozen=True, kw_only=True, eq=False)
class _Batch:
    """Results (B, 3, H, W) of one size with their partners, by side."""

    stems: list[str]
    pixels: Tensor
    partners: dict[str, Tensor]
    hashes: list[dict[str, str]]


def _batches(
    stems: Sequence[str], results: Mapping[str, Path], partners: Mapping[str, Mapping[str, Path]], notes: list[str]
) -> Iterator[_Batch]:
    held: list[tuple[str, Tensor, dict[str, Tensor], dict[str, str]]] = []
    for stem in stems:
        result = load(results[stem])
        beside: dict[str, Loaded] = {side: load(paths[stem]) for side, paths in partners.items()}
        pixels = result.pixels
        if "original" in beside:
            pixels, said = fitted(result, beside["original"], (results[stem], partners["original"][stem]))
            notes.extend(said)
        size = pixels.shape[-2:]
        aligned = {side: _at(one.pixels, size) for side, one in beside.items()}
        hashes = {"nothing": result.sha256, **{side: one.sha256 for side, one in beside.items()}}
        if held and (held[0][1].shape != pixels.shape or len(held) == _AT_ONCE):
            yield _batch(held)
            held = []
        held.append((stem, pixels, aligned, hashes))
    if held:
        yield _batch(held)


def _at(pixels: Tensor, size: Sequence[int]) -> Tensor:
    if tuple(pixels.shape[-2:]) == tuple(size):
        return pixels
    return torch.nn.functional.interpolate(pixels, tuple(size), mode="bilinear", antialias=True)


def _batch(held: Sequence[tuple[str, Tensor, dict[str, Tensor], dict[str, str]]]) -> _Batch:
    return _Batch(
        stems=[stem for stem, *_ in held],
        pixels=torch.cat([pixels for _, pixels, _, _ in held]),
        partners={side: torch.cat([one[2][side] for one in held]) for side in held[0][2]},
        hashes=[hashes for *_, hashes in held],
    )


def _judged(batch: _Batch, measures: Mapping[str, Call], figures: _Figures) -> dict[str, dict[str, float]]:
    rows: dict[str, dict[str, float]] = {stem: {} for stem in batch.stems}
    for name, call in measures.items():
        side = _partner(name)
        keys = [(hashes["nothing"], hashes[side]) for hashes in batch.hashes]
        values = [figures.get(key, name) for key in keys]
        if any(value is None for value in values):
            taken = call(batch.pixels, batch.pixels if side == "nothing" else batch.partners[side])
            values = [float(value) for value in taken]
            for key, value in zip(keys, values, strict=True):
                figures.add(key, name, float(value))  # type: ignore[arg-type]
        for stem, value in zip(batch.stems, values, strict=True):
            rows[stem][name] = math.nan if value is None else value
    return rows


class _Figures:
    """Figures that were taken before, and those taken now, by the hashes of what they were taken of."""

    def __init__(self, kept: Kept, revision: str) -> None:
        self._kept, self._revision = kept, revision
        self._known = {
            (result, partner, name): math.nan if value is None else float(value)
            for result, partner, name, told, value in kept.rows
            if told == revision
        }

    def get(self, key: tuple[str, str], name: str) -> float | None:
        return self._known.get((*key, name))

    def add(self, key: tuple[str, str], name: str, value: float) -> None:
        self._kept.add([*key, name, self._revision, value if math.isfinite(value) else None])


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return float(np.mean(known)) if known else math.nan
