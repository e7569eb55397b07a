"""Kills at every file operation, and at any moment: nothing lost, nothing half-written, the end the same."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from campaign.budget import FIRST, TABLE, seconds
from damaged_pictures import BROKEN_EXIF, encoded
from fake_hub import CONTENT, FakeHub
from huggingface_hub import constants
from kills import in_a_fork, killed_at
from small_batches import photograph, run
from small_models import small_model
from test_batch_names import scan
from test_hub import HERE, known
from training_runs import make_faces, script_environment

from gpen_core.batch import collect
from gpen_core.cli.main import main
from gpen_core.images import read_picture
from gpen_core.weights import fetching, load_model

pytestmark = pytest.mark.campaign
TESTS = Path(__file__).parent.parent
#: Seconds that a training run takes which is killed and goes on, and about how many operations on files are in one.
A_TRAINING, TRAINING_OPERATIONS = 6.0, 230


def tree(folder: Path) -> dict[str, bytes]:
    """Every file's bytes by its name; a report's without its times."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if path.name == "report.json":
                report = json.loads(data)
                for row in report["pictures"]:
                    row["seconds"] = None
                    row["output"] = row["output"] and Path(row["output"]).name
                data = json.dumps(report, sort_keys=True).encode()
            found[path.relative_to(folder).as_posix()] = data
    return found


def refuse_half_written(folder: Path) -> None:
    """Every file that has its final name is whole."""
    for path in folder.rglob("*"):
        if path.suffix in (".png", ".jpg", ".tif") and not path.name.startswith("."):
            read_picture(path)
        elif path.name == "report.json":
            json.loads(path.read_bytes())


def everywhere(base: Path, work: Callable[[Path], None], check: Callable[[Path], None], step: int = 1) -> int:
    """How many kills: `work` in a folder of its own before each of its file operations, then again to the end."""
    for point in itertools.count(1, step):
        folder = base / str(point)
        folder.mkdir(parents=True)
        status = killed_at(folder, point, lambda folder=folder: work(folder))
        assert status in (0, -9), f"ended with {status} at {point}"
        refuse_half_written(folder)
        assert in_a_fork(lambda folder=folder: work(folder)) == 0, f"does not go on from {point}"
        check(folder)
        shutil.rmtree(folder)
        if status == 0:
            return (point - 1) // step
    raise AssertionError("it never ends")


def album(folder: Path, count: int) -> Path:
    """Pictures of all kinds: with and without a face, of several pages, damaged in and beside their pixels."""
    for index in range(count):
        photograph(folder / f"{index:03}.{'jpg' if index % 5 == 1 else 'png'}", index, bright=index % 7 != 3)
    scan(folder / "scan.tif")
    (folder / "bad_exif.jpg").write_bytes(encoded("JPEG", exif=BROKEN_EXIF["a value outside"]))
    (folder / "cut.png").write_bytes(encoded("PNG")[:300])
    return folder


def restore(source: Path, out: Path) -> None:
    items = collect([source], out, pages=True)
    run(items, out, resume=True, compare=True, save_faces=True)


def test_a_folder_killed_at_every_file_operation_ends_as_if_it_had_not_been(tmp_path):
    torch.set_num_threads(1)
    source = album(tmp_path / "in", 4)
    assert in_a_fork(lambda: restore(source, tmp_path / "whole")) == 0
    wanted = tree(tmp_path / "whole")
    assert len(wanted) > 15

    def check(folder: Path) -> None:
        assert tree(folder) == wanted

    kills = everywhere(tmp_path / "k", lambda folder: restore(source, folder), check)
    TABLE.add("folder, every file operation", kills, "0 lost, 0 half-written, all as uninterrupted")


def test_a_folder_killed_at_random_ends_as_if_it_had_not_been(tmp_path):
    torch.set_num_threads(1)
    source = album(tmp_path / "in", 9)
    start = time.monotonic()
    assert in_a_fork(lambda: restore(source, tmp_path / "whole")) == 0
    usual = time.monotonic() - start
    wanted, draw = tree(tmp_path / "whole"), random.Random(FIRST)
    kills, whole, end, out = 0, 0, time.monotonic() + seconds(0.15), tmp_path / "out"
    while time.monotonic() < end and kills < 1000:
        status = in_a_fork(lambda: restore(source, out), kill_after=draw.uniform(0.0, usual * 0.6))
        kills += status == -9
        refuse_half_written(out)
        if draw.random() < 0.3 and in_a_fork(lambda: restore(source, out)) == 0:
            assert tree(out) == wanted
            whole += 1
            shutil.rmtree(out)
    TABLE.add("folder, at random", kills, f"0 lost, 0 half-written, {whole} times gone on with to the same end")
    assert kills > 0


def test_a_fetch_killed_at_every_file_operation_is_fetched_again(tmp_path, served: FakeHub):
    entry = known(HERE)

    def work(folder: Path) -> None:
        constants.HF_HOME, constants.HF_HUB_CACHE = str(folder), str(folder / "hub")
        assert fetching.fetch(entry).read_bytes() == CONTENT

    def check(folder: Path) -> None:
        left = [path.name for path in folder.rglob("*") if path.name.endswith(".part")]
        assert left == []

    kills = everywhere(tmp_path / "k", work, check)
    TABLE.add("fetch, every file operation", kills, "0 lost, none left behind")


def test_a_conversion_killed_at_every_file_operation_is_done_again(tmp_path):
    torch.set_num_threads(1)
    torch.save(small_model().state_dict(), tmp_path / "model.pth")

    def work(folder: Path) -> None:
        words = ["convert", str(tmp_path / "model.pth"), str(folder / "model.safetensors"), "--overwrite"]
        assert main([*words, "--task", "restoration"]) == 0

    def check(folder: Path) -> None:
        assert [path.name for path in folder.iterdir()] == ["model.safetensors"]
        load_model(folder / "model.safetensors", device="cpu")

    kills = everywhere(tmp_path / "k", work, check)
    TABLE.add("convert, every file operation", kills, "0 lost, none left behind")


@pytest.mark.parametrize("how", ["every file operation", "at random"])
def test_a_film_killed_ends_as_if_it_had_not_been(tmp_path, how):
    points = ["every", "1"] if how.startswith("every") else ["random", str(max(10, round(seconds(0.1))))]
    command = [sys.executable, str(TESTS / "film_kills.py"), str(tmp_path / "k"), *points]
    done = subprocess.run(command, env=script_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    TABLE.add(f"film, {how}", int(last.split()[0]), last)
    assert last.endswith(" 0 faults"), done.stdout


@pytest.mark.parametrize("how", ["at file operations", "at random"])
def test_training_killed_ends_as_if_it_had_not_been(tmp_path, how):
    count = max(5, round(seconds(0.1) / A_TRAINING))
    points = [f"{(n + 0.5) / count:.4f}" for n in range(count)] if count < TRAINING_OPERATIONS else ["from", "1"]
    points = points if how == "at file operations" else ["random", str(max(3, count // 2))]
    command = [sys.executable, str(TESTS / "training_kills.py"), str(make_faces(tmp_path / "faces"))]
    done = subprocess.run(
        [*command, str(tmp_path / "runs"), *points],
        env=script_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    last = done.stdout.splitlines()[-1]
    TABLE.add(f"training, {how}", int(last.split()[0]), last)
    assert last.endswith(" 0 faults"), done.stdout
