"""What a batch leaves when something stops it, and what --resume makes of that."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from small_batches import OPTIONS, RESTORER, photograph, report_of, run

from gpen_core.batch import Item, collect, restoring
from gpen_core.batch.journal import Journal
from gpen_core.errors import ConfigError, PictureError
from gpen_core.images import read_picture

ROOT = Path(__file__).parent.parent


def test_a_full_disk_ends_the_run_with_one_line(tmp_path, monkeypatch):
    for index in range(3):
        photograph(tmp_path / "in" / f"{index}.png", index)
    really_open = Path.open
    monkeypatch.setattr(
        Path,
        "open",
        lambda self, *a, **k: really_open(Path("/dev/full") if ".png." in self.name else self, *a, **k),
    )
    with pytest.raises(PictureError, match="no space left"):
        run(collect([tmp_path / "in"], tmp_path / "out"), tmp_path / "out")
    monkeypatch.undo()
    assert list((tmp_path / "out").glob("*.png*")) == []


# ---- going on


def test_a_resumed_run_does_only_what_is_left_and_changed(tmp_path):
    for index in range(4):
        photograph(tmp_path / "in" / f"{index}.png", index)
    items = collect([tmp_path / "in"], tmp_path / "out")
    seen = []

    def counting(pictures):
        seen.extend(picture.path.name for picture in pictures)
        return restoring(RESTORER, OPTIONS)(pictures)

    assert run(items[:2], tmp_path / "out", counting).done == 2
    summary = run(items, tmp_path / "out", counting, resume=True)
    assert (summary.done, summary.skipped) == (2, 2)
    assert seen == ["0.png", "1.png", "2.png", "3.png"]
    (tmp_path / "out" / "1.png").unlink()
    photograph(tmp_path / "in" / "2.png", 99, size=(50, 50))
    summary = run(items, tmp_path / "out", counting, resume=True)
    assert sorted(seen[4:]) == ["1.png", "2.png"]
    assert report_of(tmp_path / "out")["totals"]["pictures"] == 4


def test_a_run_is_not_resumed_with_other_settings(tmp_path):
    items = [Item(source=photograph(tmp_path / "a.png", 1), target=tmp_path / "out" / "a.png")]
    run(items, tmp_path / "out", settings={"strength": 1.0})
    with pytest.raises(ConfigError, match=r"strength was 1\.0, now 0\.5"):
        run(items, tmp_path / "out", settings={"strength": 0.5}, resume=True)
    assert run(items, tmp_path / "out", settings={"strength": 0.5}).done == 1


def test_a_run_that_always_goes_on_is_not_told_of_a_flag_against_it(tmp_path):
    Journal(tmp_path / "report.json", {"model": "a"}, resume=True).close()
    with pytest.raises(ConfigError, match=r"now 'b'\); resume with the same, or start anew: elsewhere$"):
        Journal(tmp_path / "report.json", {"model": "b"}, resume=True, anew="elsewhere")


@pytest.mark.parametrize("asked", ["compare", "save_faces"])
def test_what_goes_beside_results_is_asked_for_from_the_first_or_not_at_all(tmp_path, asked):
    items = [Item(source=photograph(tmp_path / "a.png", 1), target=tmp_path / "out" / "a.png")]
    run(items, tmp_path / "out")
    with pytest.raises(ConfigError, match=f"{asked} was None, now True"):
        run(items, tmp_path / "out", resume=True, **{asked: True})
    run(items, tmp_path / "out", **{asked: True})
    assert run(items, tmp_path / "out", resume=True, **{asked: True}).skipped == 1
    assert run(items, tmp_path / "out", resume=True).skipped == 1


def test_a_line_cut_short_in_the_journal_does_not_count(tmp_path):
    items = [Item(source=photograph(tmp_path / f"{i}.png", i), target=tmp_path / "out" / f"{i}.png") for i in range(2)]
    run(items, tmp_path / "out")
    rows = report_of(tmp_path / "out")["pictures"]
    (tmp_path / "out" / "report.json").unlink()
    journal = tmp_path / "out" / "report.json.part"
    journal.write_text('{"settings": {}}\n' + json.dumps(rows[0]) + "\n" + json.dumps(rows[1])[:40])
    summary = run(items, tmp_path / "out", resume=True)
    assert (summary.done, summary.skipped) == (1, 1)
    assert not journal.exists()


@pytest.mark.parametrize("spelt", ["absolute", "relative", "link"])
def test_however_its_folder_is_spelt_a_picture_in_its_own_place_is_not_done_twice(tmp_path, monkeypatch, spelt):
    photograph(tmp_path / "ph" / "a.png", 1)
    (tmp_path / "link").symlink_to(tmp_path / "ph")
    monkeypatch.chdir(tmp_path)
    out = {"absolute": tmp_path / "ph", "relative": Path("ph"), "link": Path("link")}[spelt]
    expected = RESTORER.restore(tmp_path / "ph" / "a.png", OPTIONS).picture.pixels

    def stop(*noted):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", stop)
        with pytest.raises(KeyboardInterrupt):
            run(collect(["ph"], out, overwrite=True), out, overwrite=True)
    assert run(collect(["ph"], out, overwrite=True), out, overwrite=True, resume=True).skipped == 1
    np.testing.assert_array_equal(read_picture(tmp_path / "ph" / "a.png").pixels, expected)


def test_a_run_goes_on_however_its_folder_is_spelt_and_from_anywhere(tmp_path, monkeypatch):
    photograph(tmp_path / "in" / "a.png", 1)
    monkeypatch.chdir(tmp_path)
    assert run(collect(["in"], Path("out")), Path("out")).done == 1
    monkeypatch.chdir(tmp_path / "in")
    assert run(collect(["../in"], Path("../out")), Path("../out"), resume=True).skipped == 1


KILLED_RUN = """
import time
from pathlib import Path
from gpen_core.batch import collect, restoring
from small_batches import *
folder = Path({folder!r})
given = []
def slowly(pictures):
    given.extend(pictures)
    time.sleep(600 if len(given) > 20 else 0.02)
    return restoring(RESTORER, OPTIONS)(pictures)
items = collect([folder / "in"], folder / "out")
run(items, folder / "out", slowly)
"""


def test_a_kill_in_the_middle_and_a_resume_do_every_picture_once_and_leave_none_half_written(tmp_path):
    for index in range(40):
        photograph(tmp_path / "in" / f"{index:02}.png", index)
    code = KILLED_RUN.format(folder=str(tmp_path))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, env=environment) as killed:
        deadline = time.monotonic() + 120
        while len(list((tmp_path / "out").glob("*.png"))) < 8 and time.monotonic() < deadline:
            time.sleep(0.01)
        killed.send_signal(signal.SIGKILL)
    there = list((tmp_path / "out").glob("*.png"))
    assert 8 <= len(there) < 40
    for path in there:
        read_picture(path)
    noted = (tmp_path / "out" / "report.json.part").read_bytes().count(b"\n") - 1
    summary = run(collect([tmp_path / "in"], tmp_path / "out"), tmp_path / "out", resume=True)
    assert (summary.done + summary.skipped, summary.skipped) == (40, noted)
    rows = report_of(tmp_path / "out")["pictures"]
    assert sorted(Path(row["input"]).name for row in rows) == [f"{index:02}.png" for index in range(40)]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [f"{i:02}.png" for i in range(40)] + ["report.json"]
    for index in range(40):
        np.testing.assert_array_equal(
            read_picture(tmp_path / "out" / f"{index:02}.png").pixels,
            RESTORER.restore(tmp_path / "in" / f"{index:02}.png", OPTIONS).picture.pixels,
        )
