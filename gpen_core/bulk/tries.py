"""How often work on a picture was begun: what ends the process that works on it (a decoder that crashes, too little
memory) is tried anew by Ray, so many times as are counted here, and is then given up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, TypeVar

from ..batch.journal import Key


class _Keyed(Protocol):
    @property
    def key(self) -> Key:
        """What tells it from all others of a run."""


T = TypeVar("T", bound=_Keyed)

#: So many processes may end over a picture.
MOST = 3


class Tries:
    """Counts what was begun and not ended, by stage and picture."""

    def __init__(self) -> None:
        self._begun: Counter[tuple[str, Key]] = Counter()

    def begin(self, stage: str, keys: Sequence[Key]) -> list[int]:
        """How often each was begun before and not ended. Several together are only begun where none was before."""
        before = [self._begun[stage, key] for key in keys]
        if len(keys) == 1 or not any(before):
            self._begun.update((stage, key) for key in keys)
        return before

    def end(self, stage: str, keys: Sequence[Key]) -> None:
        """These came through."""
        for key in keys:
            del self._begun[stage, key]


class TriesAfar:
    """`Tries` in an actor of the run, which outlives its workers; for these."""

    def __init__(self, ray: Any) -> None:
        self._actor = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Tries).remote()

    def begin(self, stage: str, keys: Sequence[Key]) -> list[int]:
        """As `Tries.begin`."""
        import ray

        before: list[int] = ray.get(self._actor.begin.remote(stage, keys))
        return before

    def end(self, stage: str, keys: Sequence[Key]) -> None:
        """As `Tries.end`, some time soon."""
        self._actor.end.remote(stage, keys)


class Watch:
    """Keeps a stage from trying over and over what ends its processes. stage: what it does, as in "being read"."""

    def __init__(self, stage: str, tries: Tries | TriesAfar) -> None:
        self._stage, self._tries = stage, tries

    def parts(self, entries: Sequence[T]) -> Iterator[tuple[Sequence[T], bool]]:
        """(what to do together, whether to give it up): all of `entries`; one by one where a process ended over them,
        so that the one among them that did it is told from the others."""
        keys = [entry.key for entry in entries]
        if not any(self._tries.begin(self._stage, keys)):
            yield entries, False
            self._tries.end(self._stage, keys)
            return
        for entry in entries:
            (before,) = self._tries.begin(self._stage, [entry.key])
            yield [entry], before >= MOST
            self._tries.end(self._stage, [entry.key])

    def said(self, source: str) -> str:
        """What is said of a picture that is given up."""
        return (
            f"{source} ended {MOST} processes, each while it was {self._stage}: it takes more memory than there is, or "
            "is damaged in a way that a library does not survive; try it alone (`gpen restore`)"
        )
