"""Faces of several pictures on their way to the network: which of them go through it next, together."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from itertools import islice, takewhile
from typing import NamedTuple

from ..contracts import Model
from .align import size_for
from .paste import PictureWork
from .run import BatchSizer

#: Pictures held at a time, those without faces included, and their pixels: large ones are not gathered for a batch.
_HELD, _HELD_PIXELS = 16, 64_000_000

#: A picture and the number of one of its faces, still to be restored.
Waiting = tuple[PictureWork, int]


class Batch(NamedTuple):
    """Faces that go through the network together at `size` px; sizer: is told how long they took."""

    faces: list[Waiting]
    size: int
    sizer: BatchSizer


class FaceQueue:
    """Pictures in their order, held until all their faces are done, and the faces that still wait.

    sizer: makes what sizes the batches of one size of faces.
    """

    def __init__(self, model: Model, sizer: Callable[[], BatchSizer]) -> None:
        self._model = model
        self._sizers: defaultdict[int, BatchSizer] = defaultdict(sizer)
        self._held: deque[PictureWork] = deque()
        self._waiting: deque[Waiting] = deque()
        self.found = 0

    def add(self, work: PictureWork) -> None:
        """Takes a picture and its faces."""
        self._held.append(work)
        self._waiting.extend((work, index) for index in range(len(work.detections)))
        self.found += len(work.detections)

    @property
    def full(self) -> bool:
        """Whether no more pictures are to be gathered for a batch."""
        return len(self._held) >= _HELD or sum(work.pixels for work in self._held) > _HELD_PIXELS

    def next(self, *, full: bool) -> Batch | None:
        """The next faces of one size, as many as one batch takes; None where none wait, or where more may come for the
        last of them and nothing is `full`.
        """
        if not self._waiting:
            return None
        size = self._size_of(self._waiting[0])
        sizer = self._sizers[size]
        count = sizer.next(size)
        alike = list(takewhile(lambda face: self._size_of(face) == size, islice(self._waiting, count)))
        if len(alike) == len(self._waiting) < count and not full:
            return None
        for _ in alike:
            self._waiting.popleft()
        return Batch(alike, size, sizer)

    def completed(self) -> Iterator[PictureWork]:
        """The first of the pictures, as far as their faces are done; they are held no more."""
        while self._held and self._held[0].complete:
            yield self._held.popleft()

    def _size_of(self, face: Waiting) -> int:
        work, index = face
        return size_for(self._model, work.detections[index].size, whole=work.aligned)
