"""Whether anything answers where a file is to come from: asked first, as clients try for half a minute and longer."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit
from urllib.request import getproxies

from .entry import HubPlace, Place

#: Seconds in which an address of a server answers, and in which any of several does; and between two looks.
_REACHED, _ANY, _LOOK = 2.5, 5.0, 0.1


def unreachable(places: Iterable[Place], *, meanwhile: Callable[[], object] = bool) -> str:
    """The hosts of these places, where none can be reached; empty where one can, or a proxy is to answer for them.

    meanwhile: called several times a second; what it raises ends the wait.
    """
    from huggingface_hub import constants

    urls = (constants.ENDPOINT if isinstance(place, HubPlace) else place.url for place in places)
    servers = list(dict.fromkeys(server for server in map(_server, urls) if server is not None))
    if not servers or {"http", "https", "all"} & getproxies().keys():
        return ""
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()
    for server in servers:
        threading.Thread(target=_knock, args=(server, answers), daemon=True).start()
    asked, ends = len(servers), time.monotonic() + _ANY
    while asked and time.monotonic() < ends:
        meanwhile()
        try:
            if answers.get(timeout=_LOOK):
                return ""
        except queue.Empty:
            continue
        asked -= 1
    return ", ".join(host for host, _ in servers)


def _server(url: str) -> tuple[str, int] | None:
    """Host and port; None where the address names none: the download says so."""
    try:
        parts = urlsplit(url)
        port = parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError:
        return None
    return None if parts.hostname is None else (parts.hostname, port)


def _knock(server: tuple[str, int], answers: queue.SimpleQueue[bool]) -> None:
    try:
        socket.create_connection(server, timeout=_REACHED).close()
    except OSError:
        answers.put(False)
    else:
        answers.put(True)
