"""A download while a node runs: shown on the node, cancelled between two chunks, given up in seconds offline."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from ..gpen_core.errors import GPENError, HubError, to_keep
from ..gpen_core.weights import hub, zoo
from ..gpen_core.weights.cache import Watch
from ..gpen_core.weights.entry import HubPlace, Place, ZooEntry
from ..gpen_core.weights.network import unreachable
from . import adapter

#: Seconds between two looks at the cancel button.
_LOOK = 0.1


class _Stopped(HubError):
    """The node that asked is gone."""


class _Download:
    """Runs a fetch beside the node; its state is read by the node's thread."""

    def __init__(self, fetch: Callable[[Watch], Path], size: int | None = None) -> None:
        self.done, self.total, self.stopped = 0, size, False
        self.path: Path | None = None
        self.error: BaseException | None = None
        self._fetch = fetch
        self.thread = threading.Thread(target=self._run, name="gpen download", daemon=True)

    def _run(self) -> None:
        try:
            self.path = self._fetch(self._watch)
        except (GPENError, OSError, RuntimeError, ValueError) as error:
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
    return _waited_for(_Download(lambda watch: hub.fetch(entry, watch=watch), entry.size), entry.name)


def fetch_repository(source: str) -> str | Path:
    """The file of a repository on the Hub, owner/name[/file]; what is none is given back, for `load_model` to look at.

    Without a network what was fetched before is taken. Raises HubError in one short line, or ComfyUI's interrupt.
    """
    from huggingface_hub import constants

    here = zoo.lookup(source) is not None or Path(source).expanduser().exists()
    if here or constants.HF_HUB_OFFLINE or not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*(/.+)?", source, re.ASCII):
        return source
    owner, name, *file = source.split("/")
    try:
        _reach(source, [HubPlace(repo=f"{owner}/{name}", path="")])
    except HubError as error:
        kept = _kept_folder(f"{owner}/{name}")
        if kept is None or not (path := kept.joinpath(*file)).exists():
            raise HubError(f"{error}; leave repository empty and choose {zoo.DEFAULT_MODEL}, which ships") from error
        return path
    return _waited_for(_Download(lambda watch: hub.locate(source, kind="restorer").path), source)


def _kept_folder(repository: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _waited_for(work: _Download, name: str) -> Path:
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
    if work.error is not None or work.path is None:
        raise HubError(f"{name} cannot be fetched ({work.error})") from work.error
    return work.path


def _check_network(entry: ZooEntry) -> None:
    """Raises HubError within seconds where none of the entry's places can be reached. A proxy is left to answer."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise HubError(f"{entry.name} is not on this machine, and HF_HUB_OFFLINE is set")
    _reach(entry.name, entry.places)


def _reach(name: str, places: Iterable[Place]) -> None:
    """Raises HubError within seconds where no server of these places answers, ComfyUI's interrupt in the meantime."""
    hosts = unreachable(places, meanwhile=adapter.stop_if_cancelled)
    if hosts:
        raise HubError(f"{name} cannot be fetched: no network ({hosts} cannot be reached)")
