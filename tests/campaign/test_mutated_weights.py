"""Mutated weights: each loads, or is refused in one line, in seconds and bounded memory.

    python -m pytest -m campaign tests/campaign/test_mutated_weights.py
    PYTHONPATH=.:tests python tests/campaign/test_mutated_weights.py --count 100000 --save /tmp/failures

A failure is repeated by --first N --count 1. Cases run in a child process with a limit of memory; one that takes too
long, or ends the child, is a failure like a foreign exception.
"""

from __future__ import annotations

import argparse
import collections
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from campaign.budget import FIRST, TABLE, seconds
from campaign.loading_child import child
from campaign.mutated_weights import Seeds, make

CASES = Path(__file__).parent / "cases" / "weights"
SECONDS = 5.0
BATCH = 500
MOST = 1_000_000


def outcomes(first: int, count: int) -> Iterator[tuple[int, str, str, float]]:
    """(number, kind, outcome, seconds) of every case; a child that hangs or dies is replaced."""
    context = multiprocessing.get_context("spawn")
    number, end = first, first + count
    while number < end:
        ours, theirs = context.Pipe(duplex=False)
        with tempfile.TemporaryDirectory() as folder:
            process = context.Process(target=child, args=(number, min(BATCH, end - number), folder, theirs))
            process.start()
            theirs.close()
            kind, begun = "start", False
            try:
                while True:
                    try:
                        told = ours.recv() if ours.poll(SECONDS if begun else 120) else "hang"
                    except EOFError:
                        told = "death"
                    if told is None:
                        break
                    if isinstance(told, str):
                        process.kill()
                        process.join()
                        yield number, kind, f"{told} (exit {process.exitcode})", SECONDS
                        number += 1
                        break
                    number, kind, outcome, seconds = told
                    begun = outcome is None
                    if outcome is not None:
                        yield number, kind, outcome, seconds
                        number += 1
            finally:  # also where nobody asks for more
                process.kill()
                process.join()


def run(first: int, count: int, save: Path | None, *, limit: float = float("inf")) -> tuple[int, list[str]]:
    """How many cases ran, and a line for each kind of failure, after printing a table of all outcomes.

    limit: the seconds after which no further case is begun. save: where failing cases are kept.
    """
    table: collections.Counter[tuple[str, str]] = collections.Counter()
    failures: dict[str, int] = {}
    slowest, start = (0.0, first), time.monotonic()
    for number, kind, outcome, took in outcomes(first, count):
        good = outcome in ("loaded", "refused") and took <= SECONDS
        table[kind, outcome if good else "FAILED"] += 1
        slowest = max(slowest, (took, number))
        if not good and outcome not in failures:
            failures[outcome] = number
            print(f"case {number} ({kind}): {outcome}", flush=True)
            if save is not None:
                save.mkdir(parents=True, exist_ok=True)
                name, suffix, content = make(number, Seeds())
                (save / f"{name}_{number}{suffix}").write_bytes(content)
        if time.monotonic() - start > limit:
            break
    for (kind, outcome), times in sorted(table.items()):
        print(f"{kind:14} {outcome:8} {times:7}")
    print(
        f"{sum(table.values())} cases, {len(failures)} kinds of failure; slowest {slowest[0]:.2f} s (case {slowest[1]})"
    )
    return sum(table.values()), [f"case {number}: {outcome}" for outcome, number in failures.items()]


@pytest.mark.campaign
def test_every_changed_file_loads_or_is_refused_in_one_line() -> None:
    count, failures = run(FIRST, MOST, CASES, limit=seconds(0.15))
    TABLE.add("mutated weights", count, "loaded or refused in one line")
    assert count >= 50
    assert failures == []


def main() -> int:
    """The exit status: 1 when a case failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--save", type=Path)
    options = parser.parse_args()
    _, failures = run(options.first, options.count, options.save, limit=options.seconds)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
