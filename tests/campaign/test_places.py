"""Full disks, folders that go away, few descriptors, closed pipes, no home, signals: one line, and nothing harmed."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from campaign.budget import TABLE
from small_batches import OPTIONS, RESTORER, photograph, report_of, run

from gpen_core.batch import collect, restoring
from gpen_core.errors import GPENError, PictureError
from gpen_core.images import read_picture

pytestmark = pytest.mark.campaign
ROOT = Path(__file__).parent.parent.parent


def gpen(*words: object, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """The command, in an environment with some names changed, or left out where None."""
    given = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment}
    kept = {name: value for name, value in given.items() if value is not None}
    command = [sys.executable, "-m", "gpen_core.cli.main", *map(str, words)]
    return subprocess.run(command, env=kept, capture_output=True, text=True, errors="replace", check=False)


def album(folder: Path, count: int = 4) -> Path:
    for index in range(count):
        photograph(folder / f"{index}.png", index)
    return folder


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("needs leave to mount")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_fills_ends_the_run_in_one_line_and_resume_goes_on(tmp_path, small_disk):
    for index in range(30):
        photograph(tmp_path / "in" / f"{index:02}.png", index, size=(150, 150))
    items = collect([tmp_path / "in"], small_disk / "out")
    with pytest.raises(PictureError, match="no space left"):
        run(items, small_disk / "out")
    for path in (small_disk / "out").glob("*.png"):
        read_picture(path)
    assert list((small_disk / "out").glob(".*.part")) == []
    shutil.copytree(small_disk / "out", tmp_path / "room")
    assert run(collect([tmp_path / "in"], tmp_path / "room"), tmp_path / "room", resume=True).failed == ()
    TABLE.add("a full disk", 1, "one line; gone on with elsewhere")


def test_a_place_that_takes_no_files_is_refused_in_one_line(tmp_path, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    done = gpen("restore", album(tmp_path / "in", 2), "-o", small_disk / "out", "--quiet")
    assert done.returncode != 0
    assert str(small_disk / "out") in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    TABLE.add("a read-only disk", 1, "one line")


def test_a_folder_that_is_removed_meanwhile_comes_back_or_is_named(tmp_path):
    items = collect([album(tmp_path / "in", 6)], tmp_path / "out")
    seen = 0

    def process(pictures):
        nonlocal seen
        seen += 1
        if seen == 3:
            shutil.rmtree(tmp_path / "out")
        return restoring(RESTORER, OPTIONS)(pictures)

    with contextlib.suppress(GPENError, OSError):
        run(items, tmp_path / "out", process)
    assert run(items, tmp_path / "out", resume=True).failed == ()
    assert report_of(tmp_path / "out")["totals"]["restored"] == 6
    TABLE.add("a removed folder", 1, "one line; gone on with")


def test_inputs_that_vanish_meanwhile_are_rows(tmp_path):
    items = collect([album(tmp_path / "in", 12)], tmp_path / "out")

    def process(pictures):
        for path in (tmp_path / "in").glob("*.png"):
            path.unlink()
        return restoring(RESTORER, OPTIONS)(pictures)

    summary = run(items, tmp_path / "out", process)
    assert summary.done + len(summary.failed) == 12
    assert all("no such file" in row.reason for row in summary.failed)
    TABLE.add("inputs that vanish", 12, "rows")


@pytest.mark.parametrize("descriptors", [24, 40])
def test_few_descriptors_end_in_rows_or_one_line(tmp_path, descriptors):
    album(tmp_path / "in", 8)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    command = [sys.executable, "-m", "gpen_core.cli.main", "detect", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, preexec_fn=limit, check=False, timeout=120
    )
    assert "Traceback" not in done.stderr
    TABLE.add(f"{descriptors} descriptors", 1, f"status {done.returncode}")


@pytest.mark.parametrize(
    "environment",
    [
        {"HOME": None, "HF_HOME": None, "XDG_CACHE_HOME": None},
        {"HOME": "/proc/nowhere", "HF_HOME": "/proc/nowhere/hf"},
        {"LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": None},
        {"PYTHONIOENCODING": "cp1252"},
        {"TMPDIR": "/proc/nowhere"},
        {"TERM": "dumb", "COLUMNS": "1"},
    ],
    ids=lambda environment: next(iter(environment)),
)
def test_odd_environments_make_no_difference(tmp_path, environment):
    album(tmp_path / "in", 2)
    photograph(tmp_path / "in" / "na\u00efve 人.png", 7)
    done = gpen("restore", tmp_path / "in", "-o", tmp_path / "out", "--quiet", **environment)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out").glob("*.png"))) == 3
    TABLE.add(f"environment {next(iter(environment))}", 1, "done")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_leave_nothing_half_written_and_resume_goes_on(tmp_path, number):
    album(tmp_path / "in", 200)
    command = [sys.executable, "-m", "gpen_core.cli.main", "restore", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    # What is begun behind a shell's & is told to ignore an interrupt.
    with subprocess.Popen(
        command,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=partial(signal.signal, number, signal.SIG_DFL),
    ) as running:
        end = time.monotonic() + 120
        while len(list((tmp_path / "out").glob("*.png"))) < 5 and time.monotonic() < end:
            time.sleep(0.02)
        sent = time.monotonic()
        running.send_signal(number)
        _, said = running.communicate(timeout=60)
    assert running.returncode != 0
    assert time.monotonic() - sent < 10
    assert "Traceback" not in said
    for path in (tmp_path / "out").glob("*.png"):
        read_picture(path)
    done = gpen("restore", tmp_path / "in", "-o", tmp_path / "out", "--resume", "--quiet")
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir() if p.suffix != ".png") == ["report.json"]
    TABLE.add(f"signal {number.name}", 1, "gone on with to the end")


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
def test_closed_pipes_end_nothing(tmp_path, closed):
    album(tmp_path / "in", 3)
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "gpen_core.cli.main", "restore", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    other = {"stdout": "stderr", "stderr": "stdout"}[closed]
    done = subprocess.run(
        command, env=environment, check=False, **{closed: writing, other: subprocess.PIPE}, text=True, timeout=120
    )
    os.close(writing)
    assert "Traceback" not in (getattr(done, other) or "")
    assert len(list((tmp_path / "out").glob("*.png"))) == 3
    TABLE.add(f"closed {closed}", 1, f"all done, status {done.returncode}")


def test_two_at_once_end_with_one_refusal_and_one_result(tmp_path):
    album(tmp_path / "in", 12)
    command = [sys.executable, "-m", "gpen_core.cli.main", "restore", str(tmp_path / "in"), "-o", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    both = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ends = [(running.communicate(timeout=300)[1], running.returncode) for running in both]
    assert sorted(status for _, status in ends) in ([0, 1], [0, 0])
    assert all(status == 0 or "another run is writing" in said for said, status in ends)
    assert report_of(tmp_path / "out")["totals"]["pictures"] == 12
    TABLE.add("two at once", 2, "one done, one refused")


def test_results_do_not_depend_on_the_number_of_threads(tmp_path):
    album(tmp_path / "in", 2)
    results = []
    for threads in ("1", "2"):
        out = tmp_path / f"out{threads}"
        done = gpen("restore", tmp_path / "in", "-o", out, "--quiet", OMP_NUM_THREADS=threads)
        assert done.returncode == 0, done.stderr
        results.append([read_picture(out / f"{index}.png").pixels for index in range(2)])
    most = max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(*results, strict=True))
    TABLE.add("one thread or two", 2, f"levels of 255 that differ: at most {most}")
    assert most <= 1
