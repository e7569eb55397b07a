"""Lanes that pictures are restored in: what is asked for at once goes side by side, or through one together."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field

from ..errors import GPENError, HubError, to_keep
from ..images import Picture
from ..images.damage import guarded
from ..options import RestoreOptions
from ..restore import FaceRestorer, RestoredPicture
from ..threads import OneThread, use_cores

#: Seconds for which a parser that could not be fetched is not asked for again.
_AGAIN = 60.0


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


class Batcher:
    """Restores pictures in threads of its own.

    most: pictures in one group; those that wait, and are wanted alike, are done together. begun: told how many pictures
    a group has. thread: the first lane, None: one of its own; best the one that loaded the networks (see `threads`).
    lanes: groups at a time, each with its share of the first lane's cores, for networks that several threads may call;
    a CPU gains nothing from large groups, so several lanes take one picture each. What comes alone is done in the first
    lane, with all cores. No lane waits for more: what comes meanwhile is the next group.
    """

    def __init__(
        self,
        restorer: FaceRestorer,
        *,
        most: int,
        begun: Callable[[int], object] = int,
        thread: OneThread | None = None,
        lanes: int = 1,
    ) -> None:
        self._restorer, self._most, self._begun = restorer, most if lanes == 1 else 1, begun
        self._turn = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._busy: set[int] = set()
        self._open = True
        self._missed: tuple[float, str] | None = None
        first = thread or OneThread()
        self._cores, self._share = first.cores, max(1, first.cores // lanes)
        others = [OneThread(self._share) for _ in range(1, lanes)]
        self._own = others if thread is first else [first, *others]
        self._working = [one.submit(self._work, lane) for lane, one in enumerate((first, *others))]
        for working in self._working:
            # What ends it before its time is told on stderr, with where it was.
            working.add_done_callback(lambda working: working.result())

    @property
    def alive(self) -> bool:
        """Whether it works."""
        return not any(working.done() for working in self._working)

    def submit(self, job: Job) -> None:
        """Takes a job; its `future` gets the result, or the error."""
        with self._turn:
            self._waiting.append(job)
            self._turn.notify_all()

    def close(self, seconds: float | None = None) -> None:
        """Ends the threads once they have done what they were given, and waits for that so long."""
        with self._turn:
            self._open = False
            self._turn.notify_all()
        for thread in self._own:
            thread.shutdown()
        wait(self._working, seconds)

    def _work(self, lane: int) -> None:
        while (group := self._next(lane)) is not None:
            if group:
                self._begun(len(group))
                self._run(group)
            del group  # The next one may be long in coming.

    def _next(self, lane: int) -> list[Job] | None:
        """What this lane does next, with the cores that it may use set; None: there will be nothing more."""
        with self._turn:
            self._busy.discard(lane)
            self._turn.wait_for(lambda: not self._open or self._due(lane))
            if not self._waiting:
                return None
            group = self._group()
            self._busy.add(lane)
            alone = lane == 0 and len(self._busy) == 1 and not self._waiting
            self._turn.notify_all()
        use_cores(self._cores if alone else self._share)
        return group

    def _due(self, lane: int) -> bool:
        """Whether something waits for this lane: a picture that comes alone is the first one's."""
        return len(self._waiting) > (0 if lane == 0 or 0 in self._busy else 1)

    def _group(self) -> list[Job]:
        """The first of those that wait and those that can be done with it, taken out; without those given up."""
        first = self._waiting[0]
        group: list[Job] = []
        for job in list(self._waiting):
            if len(group) < self._most and job.fits(first):
                self._waiting.remove(job)
                if not job.abandoned and job.future.set_running_or_notify_cancel():
                    group.append(job)
        return group

    def _run(self, group: Sequence[Job]) -> None:
        def proceed(done: int, found: int) -> None:
            if all(job.abandoned for job in group):
                raise _Abandoned("nobody waits for this")

        first = group[0]
        try:
            if self._lacks_parser(first):
                self._refuse_missed()
            with guarded("the picture cannot be done"):
                results = self._restorer.restore_many(
                    (job.picture for job in group), first.options, aligned=first.aligned, progress=proceed
                )
                for job, result in zip(group, results, strict=True):
                    job.future.set_result(result)
        except GPENError as error:
            if isinstance(error, HubError) and self._lacks_parser(first):
                self._missed = self._missed or (time.monotonic(), str(error))
            left = [job for job in group if not job.future.done()]
            if len(group) == 1 or isinstance(error, _Abandoned):
                for job in left:
                    job.future.set_exception(to_keep(error))
            else:
                # One of them is at fault: the others are not to suffer for it.
                for job in left:
                    self._run([job])

    def _lacks_parser(self, job: Job) -> bool:
        """Whether the usual parser must still be fetched for this."""
        return job.options.needs_parser and self._restorer.parser is None

    def _refuse_missed(self) -> None:
        """Raises HubError where it could not be fetched a moment ago: nobody is to wait for that again."""
        missed = self._missed
        if missed is None:
            return
        since, said = missed
        if time.monotonic() - since < _AGAIN:
            raise HubError(said)
        self._missed = None
