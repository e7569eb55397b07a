"""A download while a node runs: shown on the node, cancelled between two chunks, given up in seconds offline."""

from __future__ import annotations

import threading
from pathlib import Path

from ..gpen_core.errors import HubError, to_keep
from ..gpen_core.weights import hub
from ..gpen_core.weights.entry import ZooEntry
from ..gpen_core.weights.network import unreachable
from . import adapter

#: Seconds between two looks at the cancel button.
_LOOK = 0.1


class _Stopped(HubError):
    """The node that asked is gone."""


class _Download:
    """Runs `hub.fetch` beside the node; its state is read by the node's thread."""

    def __init__(self, entry: ZooEntry) -> None:
        self.done, self.total, self.stopped = 0, entry.size, False
        self.path: Path | None = None
        self.error: BaseException | None = None
        self._entry = entry
        self.thread = threading.Thread(target=self._run, name="gpen download", daemon=True)

    def _run(self) -> None:
        try:
            self.path = hub.fetch(self._entry, watch=self._watch)
        except (HubError, OSError, RuntimeError, ValueError) as error:
            self.error = to_keep(error)

    def _watch(self, done: int, total: int | None) -> None:
        if self.stopped:
            raise _Stopped("cancelled")
        self.done, self.total = done, total or self.total


def fetch(entry: ZooEntry) -> Path:
    """The entry's file, fetched. Raises HubError in one short line, or ComfyUI's interrupt where cancel is pressed."""
    found = hub.cached(entry)
    if found is not None:
        return found
    _check_network(entry)
    work = _Download(entry)
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
    if work.error is not None or work.path is None:
        raise HubError(f"{entry.name} cannot be fetched ({work.error})") from work.error
    return work.path


def _check_network(entry: ZooEntry) -> None:
    """Raises HubError within seconds where none of the entry's places can be reached. A proxy is left to answer."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise HubError(f"{entry.name} is not on this machine, and HF_HUB_OFFLINE is set")
    hosts = unreachable(entry.places, meanwhile=adapter.stop_if_cancelled)
    if hosts:
        raise HubError(f"{entry.name} cannot be fetched: no network ({hosts} cannot be reached)")
