"""A port to listen on, and a server that ends when it is asked to."""

from __future__ import annotations

import errno
import logging
import signal
import socket
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from fastapi import FastAPI

#: Hosts that only this machine reaches.
LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: What has begun may take so many seconds to end.
_GRACE = 30
_LAST_PORT = 65535
#: Connections held beside those of the queue: what asks for /health, and what is told to come back.
_BESIDE = 64


def bound(host: str, port: int) -> socket.socket:
    """A socket that has this place, before anything else is loaded; nobody can connect yet. port: 0 takes a free one.

    Raises InputError where the place is taken or is not this machine's.
    """
    if not 0 <= port <= _LAST_PORT:
        raise InputError(f"port is {port}; expected 0 (a free one) to {_LAST_PORT}; choose another --port")
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        made = socket.socket(family, kind)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
        except OSError:
            made.close()
            raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InputError(f"port {port} of {host} is in use; choose another with --port (0: a free one)") from error
        raise InputError(
            f"{host}, port {port} cannot be listened on: {error}; choose another --host or --port"
        ) from error
    return made


def run_service(app: FastAPI, at: socket.socket, *, queue: int, log: bool = False, grace: int = _GRACE) -> None:
    """Serves until SIGINT or SIGTERM; requests that have begun are answered first.

    queue: requests at a time. log: a line for each request. grace: seconds that what has begun may take to end.
    """
    import uvicorn

    logging.getLogger("uvicorn.access").setLevel(logging.INFO if log else logging.WARNING)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=log,
        server_header=False,
        ws="none",
        limit_concurrency=queue + _BESIDE,
        timeout_graceful_shutdown=grace,
    )
    # The server hands the signal on once it has ended; that it came is no failure.
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, signal.SIG_IGN) for number in signals]
    try:
        uvicorn.Server(config).run(sockets=[at])
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
        at.close()
