"""A download while a node runs: shown on the node, cancelled between two chunks, given up in seconds offline."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

from ..gpen_core.errors import GPENError, HubError, to_keep
from ..gpen_core.weights import hub, zoo
from ..gpen_core.weights.cache import Watch
from ..gpen_core.weights.entry import HubPlace, ZooEntry
from . import adapter

#: Seconds for the first of the places to be reached, and between two looks at the cancel button.
_REACHED, _LOOK = 2.5, 0.1


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
    try:
        _reach(source, [constants.ENDPOINT])
    except HubError as error:
        owner, name, *file = source.split("/")
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
    _reach(entry.name, [constants.ENDPOINT if isinstance(place, HubPlace) else place.url for place in entry.places])


def _reach(name: str, urls: Iterable[str]) -> None:
    """Raises HubError within seconds where no server of these addresses answers."""
    from urllib.request import getproxies

    servers = list(dict.fromkeys(server for server in map(_server, urls) if server is not None))
    if getproxies() or not servers:
        return
    answered = threading.Event()
    for server in servers:
        threading.Thread(target=_knock, args=(server, answered), daemon=True).start()
    began = time.monotonic()
    while not answered.wait(_LOOK):
        adapter.stop_if_cancelled()
        if time.monotonic() - began > _REACHED:
            hosts = ", ".join(host for host, _ in servers)
            raise HubError(f"{name} cannot be fetched: no network ({hosts} cannot be reached)")


def _server(url: str) -> tuple[str, int] | None:
    """Host and port; None where the address names none: the download says so."""
    try:
        parts = urlsplit(url)
        port = parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError:
        return None
    return None if parts.hostname is None else (parts.hostname, port)


def _knock(server: tuple[str, int], answered: threading.Event) -> None:
    try:
        socket.create_connection(server, timeout=_REACHED).close()
    except OSError:
        return
    answered.set()
