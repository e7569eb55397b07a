"""A tiny film that is killed at an operation on files, or at a moment, goes on, and is compared with one that was not.

python tests/film_kills.py FOLDER every 1 kills before each operation (every 7: before each seventh), FOLDER random 100
at so many moments. Runs are forks of one process: torch and PyAV load once.
"""

from __future__ import annotations

import itertools
import random
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from kills import in_a_fork, killed_at
from test_film_runs import figures, run, still_film

SEED = 0


def restore(film: Path, folder: Path) -> None:
    """Three parts, taken up where they were left."""
    run(film, folder / "out.mp4", resume=True)


def outcome(folder: Path) -> dict[str, Any]:
    """What a finished run has left, without times."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "out.report.svg"}
    return files | {"out.report.json": figures(folder / "out.report.json")}


def killed(film: Path, base: Path, how: str, number: int, seconds: float) -> Iterator[tuple[Path, bool]]:
    """The folder of each run, and whether it was killed."""
    draw = random.Random(SEED)
    for count in itertools.count():
        folder = base / f"{how}-{count}"
        folder.mkdir(parents=True)
        work = partial(restore, film, folder)
        if how == "every":
            status = killed_at(folder, 1 + count * number, work)
        else:
            status = in_a_fork(work, kill_after=draw.uniform(0, seconds))
        assert status in (0, -signal.SIGKILL), status
        yield folder, status != 0
        if status == 0 if how == "every" else count + 1 == number:
            return


def main() -> None:
    """Prints what differs of each run that went on, and at the end how many were killed."""
    base, how, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    torch.set_num_threads(1)
    (base / "whole").mkdir(parents=True)
    film, began = still_film(base / "in.mp4"), time.monotonic()
    assert in_a_fork(partial(restore, film, base / "whole")) == 0
    wanted, seconds = outcome(base / "whole"), time.monotonic() - began
    kills, faults = 0, 0
    for folder, was_killed in killed(film, base, how, number, seconds):
        kills += was_killed
        if in_a_fork(partial(restore, film, folder)) != 0:
            fault = "does not go on"
        else:
            found = outcome(folder)
            differing = [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]
            fault = f"{', '.join(differing)} differ" if differing else ""
        faults += bool(fault)
        print(f"{folder.name}: {fault or 'the same'}", flush=True)
    print(f"{kills} kills, {faults} faults")


if __name__ == "__main__":
    main()
