"""Forks that are killed before one of their file operations, or after a while."""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

_EVENTS = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link"}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def operations_under(out: Path, act: Callable[[int], None]) -> None:
    """Calls `act` with 1, 2, … before each operation of this process that changes something below `out`."""
    count = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        changes = event in _EVENTS or (event == "open" and (arguments[2] or 0) & _WRITING)
        if changes and isinstance(arguments[0], str | bytes | Path) and str(out) in os.fsdecode(arguments[0]):
            count += 1
            act(count)

    sys.addaudithook(hook)


def in_a_fork(act: Callable[[], None], *, kill_after: float | None = None) -> int:
    """How a fork of this process that acts ends: 0, or the signal or code that ended it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            act()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_at(out: Path, point: int, act: Callable[[], None]) -> int:
    """How a fork ends that acts and is killed before its operation number `point` below `out`."""

    def kill(count: int) -> None:
        if count == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched() -> None:
        operations_under(out, kill)
        act()

    return in_a_fork(watched)
