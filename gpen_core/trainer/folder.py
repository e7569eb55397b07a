"""The folder of a run: one run at a time has it, and a fresh one finds nothing of those before."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import InputError
from ..files import claimed
from .checkpoint import list_checkpoints, prune_checkpoints, remove_checkpoint
from .log import LOG
from .loop import BEST, CHECKPOINTS

# Seconds, longer than loader processes take to see that their parent is gone.
_PATIENCE = 15


@contextlib.contextmanager
def alone(out: Path) -> Iterator[None]:
    """Nobody else trains into `out` meanwhile: what is read there stays, until what is finished is written.

    A killed run's loader processes hold it for a moment. Raises InputError where another run does.
    """
    until = time.monotonic() + _PATIENCE
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(claimed(out / CHECKPOINTS))
                break
            except InputError:
                if time.monotonic() >= until:
                    raise
                time.sleep(0.5)
        yield


def forget(out: Path) -> None:
    """Removes what a run in `out` would go on from, oldest checkpoint last: killed at it, it still goes on."""
    for folder in [out / BEST, *reversed(list_checkpoints(out / CHECKPOINTS))]:
        remove_checkpoint(folder)
    prune_checkpoints(out / CHECKPOINTS, 1)
    (out / LOG).unlink(missing_ok=True)
    shutil.rmtree(out / "tensorboard", ignore_errors=True)
