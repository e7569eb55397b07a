"""A bulk run whose driver and workers are killed at random: nothing lost, nothing twice, nothing half-written."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from campaign.budget import FIRST, TABLE, seconds
from PIL import Image
from small_batches import photograph
from test_bulk import pictures, rows_of
from training_runs import ROOT

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray; install gpen[ray]"),
]
#: One takes about ten seconds: Ray starts anew after every third.
KILLS = max(3, round(seconds(0.1) / 10))
PICTURES = 40
# Of a picture in a worker, and the longest that a kill waits once results come in.
SECONDS, WAIT = 0.3, 3.0


#: Words in the command lines of a run's processes.
NAMED = {"driver": "", "networks": "MapBatches(Networks)", "reading or writing": "ray::MapBatches("}


def processes_of(driver: int, named: str) -> list[int]:
    """Those below a process whose command line says so."""
    parents, names = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            names[int(entry.name)] = (entry / "cmdline").read_bytes().decode(errors="replace")
        except OSError:  # it has ended
            continue
    below, found = {driver}, []
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
        found += [child for child in more if named in names[child]]
    return found


def finished(out: Path) -> int:
    return len(list(out.rglob("*.png")))


def run_and_kill(command: list[str], out: Path, draw: random.Random, kills: int, killed: Counter[str]) -> dict | None:
    """What one driver told at its end, None where it was killed; up to `kills` of its processes are, once results come
    in."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore", "RAY_AUTH_MODE": "disabled"}
    start = finished(out)
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as driver:
        while kills and driver.poll() is None:
            if finished(out) == start:
                time.sleep(0.1)
                continue
            time.sleep(draw.uniform(0, WAIT))
            kind = draw.choice(list(NAMED))
            victims = [driver.pid] if kind == "driver" else processes_of(driver.pid, NAMED[kind])
            if not victims or driver.poll() is not None:
                continue
            os.kill(draw.choice(victims), signal.SIGKILL)
            killed[kind] += 1
            kills -= 1
            if kind == "driver":
                break
        told = driver.communicate()[0]
    if driver.returncode < 0:
        return None
    assert driver.returncode == 0
    return dict(json.loads([line for line in told.splitlines() if line.startswith("{")][-1]))


def test_a_bulk_run_killed_at_random_loses_nothing_and_does_nothing_twice(tmp_path):
    source, draw, killed = tmp_path / "in", random.Random(FIRST), Counter()
    for number in range(PICTURES):
        photograph(source / f"{number % 7}" / f"{number}.png", number, size=(24, 32))
    (source / "broken.png").write_bytes(b"no picture")
    rounds = 0
    while sum(killed.values()) < KILLS:
        out = tmp_path / f"out-{rounds}"
        words = [str(source), str(out), str(tmp_path / "kill"), str(SECONDS), "a"]
        command = [sys.executable, str(ROOT / "tests" / "bulk_run.py"), *words]
        while (told := run_and_kill(command, out, draw, KILLS - sum(killed.values()), killed)) is None:
            pass
        given_up = [reason for reason in told["failed"] if "ended 3 processes" in reason]
        assert len(told["failed"]) == 1 + len(given_up)
        assert told["done"] + told["skipped"] == PICTURES - len(given_up)
        if given_up:  # they were in hand at three of the kills; the same command does them
            assert run_and_kill(command, out, draw, 0, killed)["done"] == len(given_up)
        check(source, out)
        rounds += 1
    said = ", ".join(f"{count} {kind}" for kind, count in killed.items())
    TABLE.add("bulk run, killed at random", sum(killed.values()), f"0 lost, 0 twice, 0 half-written ({said})")


def check(source: Path, out: Path) -> None:
    """Every picture's result is there, once and whole, and a row for each and for the broken one."""
    results = pictures(out)
    assert len(results) == PICTURES
    rows = rows_of(out / "report.parquet")
    assert len({row["input"] for row in rows}) == len(rows) == PICTURES + 1
    for name in results:
        with Image.open(source / name) as before, Image.open(out / name) as after:
            assert after.tobytes() == bytes(255 - value for value in before.tobytes())
    assert not list(out.rglob(".*.part"))
