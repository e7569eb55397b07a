"""One thread that owns the networks: what is asked of it at the same time goes through them together."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ParamSpec, TypeVar

from ..errors import GPENError
from ..images import Picture
from ..images.damage import guarded
from ..options import RestoreOptions
from ..restore import FaceRestorer, RestoredPicture

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(kw_only=True, eq=False)
class Job:
    """One picture to restore. abandoned: nobody waits for it any more."""

    picture: Picture
    options: RestoreOptions
    aligned: bool = False
    abandoned: bool = False
    future: Future[RestoredPicture] = field(default_factory=Future)

    def fits(self, other: Job) -> bool:
        """Whether both can be done in one call."""
        return self.options == other.options and self.aligned == other.aligned


class _Abandoned(GPENError):
    """Nobody waits for any picture of a group."""


class OneThread(Executor):
    """Runs what it is given in one thread, in that order; what still runs does not keep the process from ending."""

    def __init__(self) -> None:
        self._asked: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="restore", daemon=True).start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """The future of what `fn` gives or raises."""
        future: Future[T] = Future()
        self._asked.put((future, partial(fn, *args, **kwargs)))
        return future

    def _work(self) -> None:
        while True:
            future, call = self._asked.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call())
                except BaseException as error:  # Whoever waits for the result is told, whatever it is.
                    future.set_exception(error)


class Batcher:
    """Restores pictures in a thread of its own; those that wait, and are wanted alike, together.

    most: pictures in one group. begun: told how many pictures a group has. thread: to work in, None: one of its own;
    best the one that loaded the networks: with teams of two threads OpenMP takes a CPU for overbooked, and half as
    much again is waited for. It waits for nobody: a picture that comes alone is done alone, and what comes meanwhile is
    the next group.
    """

    def __init__(
        self,
        restorer: FaceRestorer,
        *,
        most: int,
        begun: Callable[[int], object] = int,
        thread: OneThread | None = None,
    ) -> None:
        self._restorer, self._most, self._begun = restorer, most, begun
        self._asked: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._working = (thread or OneThread()).submit(self._work)
        # What ends it before its time is told on stderr, with where it was.
        self._working.add_done_callback(lambda working: working.result())

    @property
    def alive(self) -> bool:
        """Whether it works."""
        return not self._working.done()

    def submit(self, job: Job) -> None:
        """Takes a job; its `future` gets the result, or the error."""
        self._asked.put(job)

    def close(self, seconds: float | None = None) -> None:
        """Ends the thread once it has done what it was given, and waits for that so long."""
        self._asked.put(None)
        wait([self._working], seconds)

    def _work(self) -> None:
        waiting: deque[Job] = deque()
        open_ = True
        while open_ or waiting:
            while open_ and (not waiting or not self._asked.empty()):
                job = self._asked.get()
                if job is None:
                    open_ = False
                else:
                    waiting.append(job)
            if waiting:
                self._group(waiting)

    def _group(self, waiting: deque[Job]) -> None:
        """Does the first of `waiting` and those that can be done with it, and takes them out."""
        first = waiting[0]
        group: list[Job] = []
        for job in list(waiting):
            if len(group) < self._most and job.fits(first):
                waiting.remove(job)
                if not job.abandoned and job.future.set_running_or_notify_cancel():
                    group.append(job)
        if group:
            self._begun(len(group))
            self._run(group)

    def _run(self, group: Sequence[Job]) -> None:
        def proceed(done: int, found: int) -> None:
            if all(job.abandoned for job in group):
                raise _Abandoned("nobody waits for this")

        first = group[0]
        try:
            with guarded("the picture cannot be done"):
                results = self._restorer.restore_many(
                    (job.picture for job in group), first.options, aligned=first.aligned, progress=proceed
                )
                for job, result in zip(group, results, strict=True):
                    job.future.set_result(result)
        except GPENError as error:
            left = [job for job in group if not job.future.done()]
            if len(group) == 1 or isinstance(error, _Abandoned):
                for job in left:
                    job.future.set_exception(error)
            else:
                # One of them is at fault: the others are not to suffer for it.
                for job in left:
                    self._run([job])
