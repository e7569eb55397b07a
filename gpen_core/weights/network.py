"""Whether anything answers where a file is to come from: asked first, as clients try for half a minute and longer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Future, wait
from urllib.parse import urlsplit
from urllib.request import getproxies

from .entry import HubPlace, Place

#: Seconds in which an address of a server answers, and in which a server with several does.
_REACHED, _ANY = 2.5, 5.0

_Server = tuple[str, int]


class Servers:
    """The servers of these places, each knocked at once, all side by side. Offline (`HF_HUB_OFFLINE`) none is asked,
    and none answers; a proxy is left to answer for all."""

    def __init__(self, places: Iterable[Place]) -> None:
        from huggingface_hub import constants

        self._offline = constants.HF_HUB_OFFLINE
        proxy = {"http", "https", "all"} & getproxies().keys()
        servers = dict.fromkeys(() if self._offline or proxy else map(_server, places))
        self._answers = {server: _asked(server) for server in servers if server is not None}
        self._ends = time.monotonic() + _ANY

    def reach(self, place: Place) -> bool:
        """Whether the server of one of these places answers, known within seconds.

        An address that names no server is left to the download, which says so.
        """
        if self._offline:
            return False
        server = _server(place)
        answer = None if server is None else self._answers.get(server)
        if answer is None:
            return True
        wait([answer], timeout=max(0.0, self._ends - time.monotonic()))
        return answer.done() and answer.result()

    def __str__(self) -> str:
        return ", ".join(host for host, _ in self._answers)


def _server(place: Place) -> _Server | None:
    """Host and port; None where the address names none."""
    from huggingface_hub import constants

    try:
        parts = urlsplit(constants.ENDPOINT if isinstance(place, HubPlace) else place.url)
        port = parts.port or (80 if parts.scheme == "http" else 443)
    except ValueError:
        return None
    return None if parts.hostname is None else (parts.hostname, port)


def _asked(server: _Server) -> Future[bool]:
    """Whether the server answers, once that is known. A daemon asks: nobody waits for it when the program ends."""
    answer: Future[bool] = Future()
    threading.Thread(target=_knock, args=(server, answer), daemon=True).start()
    return answer


def _knock(server: _Server, answer: Future[bool]) -> None:
    try:
        socket.create_connection(server, timeout=_REACHED).close()
    except OSError:
        answer.set_result(False)
    else:
        answer.set_result(True)
