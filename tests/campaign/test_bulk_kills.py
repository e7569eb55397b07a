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
from pathlib import Path

import pytest
from campaign.budget import FIRST, TABLE
from PIL import Image
from small_batches import photograph
from test_bulk import pictures, rows_of
from training_runs import ROOT

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray; install gpen[ray]"),
]
KILLS = int(os.environ.get("GPEN_BULK_KILLS", "20"))
PICTURES = 400
# Of one run, within which a kill comes once its first results are there.
SECONDS = 6.0


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


def test_a_bulk_run_killed_at_random_loses_nothing_and_does_nothing_twice(tmp_path):
    source, out, draw = tmp_path / "in", tmp_path / "out", random.Random(FIRST)
    for number in range(PICTURES):
        photograph(source / f"{number % 7}" / f"{number}.png", number, size=(24, 32))
    (source / "broken.png").write_bytes(b"no picture")
    command = [sys.executable, str(ROOT / "tests" / "bulk_run.py"), str(source), str(out), str(tmp_path / "kill")]
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore", "RAY_AUTH_MODE": "disabled"}
    killed = {"driver": 0, "networks": 0, "reading or writing": 0}
    ended = None
    while ended is None:
        start = finished(out)
        with subprocess.Popen(
            [*command, "0.2", "a"], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as driver:
            while sum(killed.values()) < KILLS and driver.poll() is None:
                if finished(out) == start:
                    time.sleep(0.1)
                    continue
                time.sleep(draw.uniform(0.1, SECONDS / 2))
                kind = draw.choice(list(killed))
                named = {"networks": "MapWorker", "reading or writing": "ray::MapBatches"}.get(kind)
                victims = [driver.pid] if named is None else processes_of(driver.pid, named)
                if not victims or driver.poll() is not None:
                    continue
                os.kill(draw.choice(victims), signal.SIGKILL)
                killed[kind] += 1
                if kind == "driver":
                    break
            told = driver.communicate()[0]
        if driver.returncode == 0:
            ended = json.loads(told.splitlines()[-1])
    results = pictures(out)
    assert len(results) == PICTURES
    assert ended["done"] + ended["skipped"] == PICTURES
    assert len(ended["failed"]) == 1
    rows = rows_of(out / "report.parquet")
    assert len({row["input"] for row in rows}) == len(rows) == PICTURES + 1
    for name in results:
        with Image.open(source / name) as before, Image.open(out / name) as after:
            assert after.tobytes() == bytes(255 - value for value in before.tobytes())
    assert not list(out.rglob(".*.part"))
    told = ", ".join(f"{count} {kind}" for kind, count in killed.items())
    TABLE.add("bulk run, killed at random", sum(killed.values()), f"0 lost, 0 twice, 0 half-written ({told})")
