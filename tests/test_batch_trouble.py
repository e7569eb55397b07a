"""Whatever is wrong with one picture is one row, and the folder goes on; what is wrong with the place is one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from damaged_pictures import BROKEN_CHUNKS, BROKEN_EXIF, BROKEN_SEGMENTS, FORMATS, HARMS, encoded
from small_batches import OPTIONS, RESTORER, photograph, report_of, run

from gpen_core.batch import collect, restoring
from gpen_core.errors import InputError, PictureError
from gpen_core.images import read_picture
from gpen_core.images.metadata import Provenance

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
ROOT = Path(__file__).parent.parent


def test_no_damaged_picture_keeps_its_neighbours_from_being_restored(tmp_path):
    photograph(tmp_path / "in" / "00_good.png", 1)
    photograph(tmp_path / "in" / "zz_good.jpg", 2)
    cases = {f"exif {what}.jpg": encoded("JPEG", exif=block) for what, block in BROKEN_EXIF.items()}
    cases |= {f"chunk {what}.png": data for what, data in BROKEN_CHUNKS.items()}
    cases |= {f"segment {what}.jpg": data for what, data in BROKEN_SEGMENTS.items()}
    metadata_alone = len(cases)
    for harm, harmed in HARMS.items():
        for suffix, (kind, settings) in FORMATS.items():
            cases |= {f"{harm} {seed}{suffix}": harmed(seed, kind, **settings) for seed in range(3)}
    for name, data in cases.items():
        (tmp_path / "in" / name).write_bytes(data)
    os.mkfifo(tmp_path / "in" / "pipe.jpg")
    (tmp_path / "in" / "nowhere.jpg").symlink_to(tmp_path / "nothing")
    items = collect([tmp_path / "in"], tmp_path / "out")
    provenance = Provenance(model="a model")
    for allow_truncated in (False, True):
        summary = run(items, tmp_path / "out", provenance=provenance, allow_truncated=allow_truncated, max_pixels=10**7)
        assert summary.done + len(summary.failed) == len(items) == len(cases) + 4
        assert summary.done >= metadata_alone + 2
        rows = {Path(row["input"]).name: row for row in report_of(tmp_path / "out")["pictures"]}
        assert rows["00_good.png"]["status"] == rows["zz_good.jpg"]["status"] == "restored"
        assert rows["pipe.jpg"]["status"] == rows["nowhere.jpg"]["status"] == "failed"
        assert all("\n" not in (row["reason"] or "") for row in rows.values())
        for row in rows.values():
            if row["status"] not in ("failed", "copied"):
                read_picture(row["output"])
    assert run(items, tmp_path / "out", resume=True, allow_truncated=True).skipped >= metadata_alone + 2


@pytest.mark.parametrize("error", [RuntimeError("bad day"), ZeroDivisionError(), AssertionError("no"), MemoryError()])
def test_whatever_the_process_raises_is_a_row(tmp_path, error):
    for index in range(4):
        photograph(tmp_path / "in" / f"{index}.png", index)

    def process(pictures):
        if any(picture.path.name == "1.png" for picture in pictures):
            raise error
        return restoring(RESTORER, OPTIONS)(pictures)

    for group in (1, 3):
        summary = run(collect([tmp_path / "in"], tmp_path / "out"), tmp_path / "out", process, group=group)
        assert [Path(row.input).name for row in summary.failed] == ["1.png"]
        assert summary.done == 3


def test_an_error_of_a_figure_or_of_the_drawing_is_a_row(tmp_path):
    for index in range(3):
        photograph(tmp_path / "in" / f"{index}.png", index)

    def figure(face, picture):
        if picture.path.name == "2.png":
            raise IndexError("no such pixel")
        return {}

    items = collect([tmp_path / "in"], tmp_path / "out")
    summary = run(items, tmp_path / "out", figures=(figure,))
    assert [(Path(row.input).name, row.status) for row in summary.failed] == [("2.png", "failed")]
    assert "no such pixel" in summary.failed[0].reason


# ---- the place


def test_an_unwritable_folder_is_named(tmp_path, monkeypatch):
    photograph(tmp_path / "in" / "a.png", 1)
    items = collect([tmp_path / "in"], tmp_path / "out")
    (tmp_path / "out").write_text("a file stands here")
    with pytest.raises(PictureError, match=r"nothing can be written into .*out: .*choose another folder"):
        run(items, tmp_path / "out")


def test_a_second_run_into_the_same_folder_is_refused_and_leaves_the_first_alone(tmp_path):
    for index in range(3):
        photograph(tmp_path / "in" / f"{index}.png", index)
    items = collect([tmp_path / "in"], tmp_path / "out")

    def process(pictures):
        with pytest.raises(InputError, match=r"another run is writing .*report\.json"):
            run(items, tmp_path / "out")
        return restoring(RESTORER, OPTIONS)(pictures)

    assert run(items, tmp_path / "out", process).done == 3
    assert report_of(tmp_path / "out")["totals"]["restored"] == 3
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["0.png", "1.png", "2.png", "report.json"]


def test_two_results_of_single_files_in_one_folder_do_not_disturb_each_other(tmp_path):
    photograph(tmp_path / "a.png", 1)
    photograph(tmp_path / "b.png", 2)
    first = collect([tmp_path / "a.png"], tmp_path / "out" / "a.png")
    second = collect([tmp_path / "b.png"], tmp_path / "out" / "b.png")

    def process(pictures):
        assert run(second, tmp_path / "out" / "b").done == 1
        return restoring(RESTORER, OPTIONS)(pictures)

    assert run(first, tmp_path / "out" / "a", process).done == 1


# ---- going on


def test_results_that_are_elsewhere_or_cut_short_are_not_done(tmp_path):
    for index in range(4):
        photograph(tmp_path / "in" / f"{index}.png", index)
    report = tmp_path / "reports"
    assert run(collect([tmp_path / "in"], tmp_path / "one"), report).done == 4
    again = run(collect([tmp_path / "in"], tmp_path / "two"), report, resume=True)
    assert (again.done, again.skipped) == (4, 0)
    (tmp_path / "two" / "1.png").write_bytes(b"")
    (tmp_path / "two" / "2.png").write_bytes((tmp_path / "two" / "2.png").read_bytes()[:-10])
    (tmp_path / "two" / "3.png").unlink()
    again = run(collect([tmp_path / "in"], tmp_path / "two"), report, resume=True)
    assert (again.done, again.skipped) == (3, 1)
    for index in range(4):
        one, two = (read_picture(tmp_path / folder / f"{index}.png").pixels for folder in ("one", "two"))
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\0" * 100 + b"\n",
        b"[]\n",
        b'{"settings": 3}\n{}\n',
        b'{"settings": {}}\n[1, 2]\nnull\n{"input": 3}\n',
        b'{"settings": {}}\n{"input": "a", "output": 7, "status": "restored", "faces": []}\n',
        b'{"settings": {}}\n{"input": "a", "output": "b", "status": "unheard of", "faces": []}\n',
    ],
)
def test_a_damaged_journal_is_a_fresh_start_and_said_so(tmp_path, damaged):
    photograph(tmp_path / "in" / "a.png", 1)
    items = collect([tmp_path / "in"], tmp_path / "out")
    run(items, tmp_path / "out")
    (tmp_path / "out" / "report.json.part").write_bytes(damaged)
    with pytest.warns(UserWarning, match="is damaged"):
        summary = run(items, tmp_path / "out", resume=True)
    assert (summary.done, summary.skipped) == (1, 0)
    (tmp_path / "out" / "report.json").write_bytes(damaged or b"{")
    with pytest.warns(UserWarning, match="is damaged"):
        assert run(items, tmp_path / "out", resume=True).done == 1


def test_rows_stand_in_the_order_of_the_inputs_after_any_resume(tmp_path):
    for index in range(6):
        photograph(tmp_path / "in" / f"{index}.png", index)
    items = collect([tmp_path / "in"], tmp_path / "out")
    run(items, tmp_path / "out")
    whole = report_of(tmp_path / "out")
    for index in (1, 4):
        (tmp_path / "out" / f"{index}.png").unlink()
    assert run(items, tmp_path / "out", resume=True).done == 2
    again = report_of(tmp_path / "out")
    for row in (*whole["pictures"], *again["pictures"]):
        row["seconds"] = None
    assert again == whole


IN_PLACE = """
import os
from pathlib import Path
from gpen_core.batch import collect
from small_batches import *
folder = Path({folder!r})
items = collect([folder], folder, overwrite=True)
class Dying:
    def __call__(self, report):
        os._exit(9)
import gpen_core.batch.journal as journal
if {before}:
    really = os.replace
    def replace(a, b):
        if str(b).endswith("1.png"):
            os._exit(9)
        really(a, b)
    os.replace = replace
else:
    really = journal.Journal.add
    def add(self, report, stamps):
        if report.input.endswith("1.png"):
            os._exit(9)
        really(self, report, stamps)
    journal.Journal.add = add
run(items, folder, overwrite=True)
"""


@pytest.mark.parametrize("before", [True, False])
def test_a_picture_restored_in_its_own_place_is_not_restored_twice_after_a_kill(tmp_path, before):
    expected = []
    for index in range(3):
        photograph(tmp_path / f"{index}.png", index)
        expected.append(RESTORER.restore(tmp_path / f"{index}.png", OPTIONS).picture.pixels)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
    command = [sys.executable, "-c", IN_PLACE.format(folder=str(tmp_path), before=before)]
    assert subprocess.run(command, env=environment, check=False).returncode == 9
    summary = run(collect([tmp_path], tmp_path, overwrite=True), tmp_path, overwrite=True, resume=True)
    assert summary.failed == ()
    for index in range(3):
        np.testing.assert_array_equal(read_picture(tmp_path / f"{index}.png").pixels, expected[index])


def test_threads_do_not_change_a_byte(tmp_path):
    photograph(tmp_path / "in" / "a.png", 1, size=(300, 400))
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            run(collect([tmp_path / "in"], tmp_path / f"out{threads}"), tmp_path / f"out{threads}")
    finally:
        torch.set_num_threads(before)
    assert (tmp_path / "out1" / "a.png").read_bytes() == (tmp_path / "out2" / "a.png").read_bytes()


def test_the_report_is_json_whatever_the_names_are(tmp_path):
    photograph(tmp_path / "in" / 'quote"\n\\.png', 1)
    run(collect([tmp_path / "in"], tmp_path / "out"), tmp_path / "out")
    (row,) = json.loads((tmp_path / "out" / "report.json").read_bytes())["pictures"]
    assert row["input"].endswith('quote"\n\\.png')
