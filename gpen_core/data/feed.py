"""Batches of training pairs, in an order that depends on seed and position alone."""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..errors import TrainingError
from .degradation import Degradation
from .maps import MappedFaces
from .order import Order

# Pictures that a worker damages together: more leave its cache, fewer are more calls.
_AT_ONCE = 2
# Of glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


class Pictures(Protocol):
    """Where faces come from: a folder, shards, or anything with these four."""

    weights: list[float] | None

    @property
    def fingerprint(self) -> str:
        """What tells this set of pictures from another."""
        ...

    def __len__(self) -> int: ...

    def load(self, index: int) -> Tensor:
        """(3, S, S) uint8 RGB."""
        ...


class Batch(NamedTuple):
    """Pairs (B, 3, S, S) in [-1, 1], and the position of the first."""

    damaged: Tensor
    clean: Tensor
    position: int


class Feed(Dataset[Batch]):
    """Pairs by position.

    on_device: leaves flips and damage to `finish`, for the training device to do; otherwise the loader's workers do
    them.
    """

    def __init__(self, pictures: Pictures, degradation: Degradation, *, seed: int, on_device: bool = False) -> None:
        self._pictures, self._degradation, self._seed, self._on_device = pictures, degradation, seed, on_device
        self._order = Order(len(pictures), seed, pictures.weights)

    @property
    def fingerprint(self) -> str:
        """That of the pictures."""
        return self._pictures.fingerprint

    def index(self, position: int) -> int:
        """Which picture stands there."""
        return self._order[position]

    def __getitem__(self, positions: Sequence[int]) -> Batch:
        if isinstance(self._pictures, MappedFaces):
            return self._with_maps(self._pictures, positions)
        clean = torch.stack([self._pictures.load(self._order[p]) for p in positions])
        raw = Batch(clean, clean, positions[0])
        return raw if self._on_device else self._damage(raw)

    def _with_maps(self, faces: MappedFaces, positions: Sequence[int]) -> Batch:
        """Maps in the place of damaged faces; nothing is left for the device to do."""
        mirrored = [self._degradation.mirrors(self._seed, p) for p in positions]
        pairs = [faces.load_pair(self._order[p], mirrored=m) for p, m in zip(positions, mirrored, strict=True)]
        maps, clean = (torch.stack(pictures).float() / 127.5 - 1 for pictures in zip(*pairs, strict=True))
        return Batch(maps, clean, positions[0])

    def finish(self, batch: Batch, device: torch.device, dtype: torch.dtype) -> Batch:
        """The batch on `device` as `dtype`, damaged there if the workers did not."""
        if self._on_device and not isinstance(self._pictures, MappedFaces):
            batch = self._damage(Batch(batch.clean.to(device, non_blocking=True), batch.clean, batch.position))
        return Batch(
            batch.damaged.to(device, dtype, non_blocking=True),
            batch.clean.to(device, dtype, non_blocking=True),
            batch.position,
        )

    def _damage(self, raw: Batch) -> Batch:
        pictures = raw.damaged
        positions = list(range(raw.position, raw.position + len(pictures)))
        few = len(pictures) if self._on_device else _AT_ONCE
        parts = [
            self._degradation.pairs(pictures[i : i + few].float() / 255, self._seed, positions[i : i + few])
            for i in range(0, len(pictures), few)
        ]
        damaged, clean = (torch.cat(pairs) for pairs in zip(*parts, strict=True))
        return Batch(damaged * 2 - 1, clean * 2 - 1, raw.position)

    def batches(self, plan: Iterator[list[int]], *, workers: int = 0, pin: bool = False) -> Iterator[Batch]:
        """A batch for each list of consecutive positions in `plan`."""
        if workers == 0:
            return (self[positions] for positions in plan)
        loader = DataLoader(
            self,
            sampler=_Plan(plan),
            batch_size=None,
            num_workers=workers,
            pin_memory=pin,
            prefetch_factor=4,
            persistent_workers=False,
            worker_init_fn=keep_freed_memory,
        )
        return iter(loader)


def keep_freed_memory(_worker: int = 0) -> None:
    """Lets this process keep what it frees, where its C library is glibc; nothing elsewhere.

    The damage makes and drops pictures of megabytes all the time; handed back each time, their memory comes again page
    by page, zeroed, which takes a fifth of a worker's time.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for option, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 2**26)):
        mallopt(option, value)


class _Plan:
    """What a DataLoader asks of a sampler, over an iterator."""

    def __init__(self, plan: Iterator[list[int]]) -> None:
        self._plan = plan

    def __iter__(self) -> Iterator[list[int]]:
        return self._plan


def plan(start: int, *, size: int, step: int | None = None, rank: int = 0, ranks: int = 1) -> Iterator[list[int]]:
    """Positions of this rank's batches from `start` on, without end; together the ranks take every position once.

    A step takes `step` consecutive positions (default: `size` for each rank), whatever the number of ranks; one process
    that accumulates two batches sees those of two processes.
    """
    step = size * ranks if step is None else step
    mine = shares(step, size, ranks)[rank]
    while True:
        yield from (list(range(start + first, start + last)) for first, last in mine)
        start += step


def shares(step: int, size: int, ranks: int) -> list[list[tuple[int, int]]]:
    """For each rank the batches (first, last + 1) that it takes of the pictures 0 … step − 1, as many for every rank.

    No batch is larger than `size`, and they differ by one picture at most. Raises TrainingError where there are more
    ranks than pictures.
    """
    turns = -(-step // (size * ranks))
    if step < turns * ranks:
        raise TrainingError(
            f"a step of {step} pictures cannot be divided among {ranks} processes; start fewer, or take a larger batch"
        )
    bounds = [step * i // (turns * ranks) for i in range(turns * ranks + 1)]
    batches = list(itertools.pairwise(bounds))
    return [batches[rank::ranks] for rank in range(ranks)]
