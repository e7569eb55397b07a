"""A download while a node runs: shown on the node, and cancelled between two chunks."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from ..gpen_core.errors import GPENError, HubError, to_keep
from ..gpen_core.weights import fetching, zoo
from ..gpen_core.weights.cache import Watch
from ..gpen_core.weights.entry import ZooEntry
from ..gpen_core.weights.location import locate
from . import adapter

#: Seconds between two looks at the cancel button.
_LOOK = 0.1

Found = TypeVar("Found")


class _Stopped(HubError):
    """The node that asked is gone."""


class _Download(Generic[Found]):
    """Runs a fetch beside the node; its state is read by the node's thread."""

    def __init__(self, fetch: Callable[[Watch], Found], size: int | None = None) -> None:
        self.done, self.total, self.stopped = 0, size, False
        self.found: Found | None = None
        self.error: Exception | None = None
        self._fetch = fetch
        self.thread = threading.Thread(target=self._run, name="gpen download", daemon=True)

    def _run(self) -> None:
        try:
            self.found = self._fetch(self._watch)
        except (GPENError, OSError, RuntimeError, ValueError) as error:
            self.error = to_keep(error)

    def _watch(self, done: int, total: int | None) -> None:
        if self.stopped:
            raise _Stopped("cancelled")
        self.done, self.total = done, total or self.total


def fetch(entry: ZooEntry) -> Path:
    """The entry's file, fetched. Raises HubError in one short line, or ComfyUI's interrupt where cancel is pressed."""
    remedy = "check the network"  # where else the file can be put, the node says
    work = _Download(lambda watch: fetching.fetch(entry, watch=watch, remedy=remedy), entry.size)
    return fetching.cached(entry) or _waited_for(work, entry.name)


def fetch_repository(source: str) -> str | Path:
    """What `load_model` is to be given for `source`, a repository on the Hub or anything else that it takes: the file,
    which is here then, or a name in the zoo.

    Raises what `locate` raises, or ComfyUI's interrupt.
    """
    try:
        found = _waited_for(_Download(lambda watch: locate(source, kind="restorer", watch=watch)), source)
    except HubError as error:
        raise HubError(f"{error}; or leave repository empty and choose {zoo.DEFAULT_MODEL}, which ships") from error
    return found.path if found.entry is None else source


def _waited_for(work: _Download[Found], name: str) -> Found:
    """What the download gives, while the node shows how far it is and cancel is heeded."""
    bar: adapter.Progress | None = None
    shown = 0
    work.thread.start()
    try:
        while work.thread.is_alive():
            work.thread.join(_LOOK)
            adapter.stop_if_cancelled()
            if work.total:
                bar = bar or adapter.Progress(work.total)
                bar.step(max(0, work.done - shown))
                shown = max(shown, work.done)
    finally:
        work.stopped = True
    if isinstance(work.error, GPENError):
        raise work.error
    if work.found is None:
        raise HubError(f"{name} cannot be fetched ({work.error})") from work.error
    return work.found
