"""A port for a server or a rendezvous of a test."""

from __future__ import annotations

import socket


def free_port() -> int:
    """A port of the loopback that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def accepts(port: int) -> bool:
    """Whether something listens on this port of the loopback."""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0
