"""Every result has a name of its own, which a file may have, and which can be printed and noted."""

import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_batches import OPTIONS, RESTORER, photograph, report_of, run

from gpen_core.batch import BatchSummary, collect, restoring
from gpen_core.cli.file_arguments import conclude
from gpen_core.errors import InputError
from gpen_core.images import read_picture
from gpen_core.video.inputs import collect_films

ROOT = Path(__file__).parent.parent


def names_of(items, folder: Path) -> list[str]:
    return [item.target.relative_to(folder).as_posix() for item in items]


def test_results_that_would_have_one_name_keep_their_inputs_suffixes(tmp_path):
    for name in ("IMG_1.jpg", "IMG_1.png", "IMG_2.jpg"):
        photograph(tmp_path / "in" / name, 1)
    items = collect([tmp_path / "in"], tmp_path / "out", suffix=".png")
    assert names_of(items, tmp_path / "out") == ["IMG_1.jpg.png", "IMG_1.png.png", "IMG_2.png"]
    assert run(items, tmp_path / "out").done == 3


def test_names_that_some_file_systems_take_for_one_are_numbered(tmp_path):
    accented = "é.png"
    for name in ("A.png", "a.png", accented, unicodedata.normalize("NFD", accented)):
        photograph(tmp_path / "in" / name, 1)
    names = names_of(collect([tmp_path / "in"], tmp_path / "out"), tmp_path / "out")
    assert len({unicodedata.normalize("NFC", name).casefold() for name in names}) == 4
    assert {"A.png", "a_2.png"} <= set(names)


def test_what_goes_beside_pictures_of_one_name_is_not_written_over(tmp_path):
    for seed, name in enumerate(("a.jpg", "a.png", "b.png", "sub/a.png")):
        photograph(tmp_path / "in" / name, seed)
    items = collect([tmp_path / "in"], tmp_path / "out")
    run(items, tmp_path / "out", compare=True, save_faces=True)
    found = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")}
    assert {"compare/a.jpg.jpg", "compare/a.png.jpg", "compare/b.jpg", "compare/sub/a.jpg"} <= found
    assert {"faces/a.jpg_00_before.png", "faces/a.png_00_after.png", "faces/b_00_after.png"} <= found


def test_beside_a_report_elsewhere_the_folders_of_results_are_kept_apart(tmp_path):
    for name in ("x/a.png", "y/a.png"):
        photograph(tmp_path / "in" / name, len(name))
    run(collect([tmp_path / "in"], tmp_path / "out"), tmp_path / "reports", compare=True)
    assert len(list((tmp_path / "reports" / "compare").rglob("*.jpg"))) == 2


@pytest.mark.parametrize("stem", ["a" * 251, "é" * 125, "人" * 83])
def test_names_as_long_as_a_file_may_have_go_through_with_all_that_goes_beside_them(tmp_path, stem):
    photograph(tmp_path / "in" / f"{stem}.png", 1)
    photograph(tmp_path / "in" / "b.png", 2)
    items = collect([tmp_path / "in"], tmp_path / "out", suffix=".heic")
    assert all(len(os.fsencode(item.target.name)) <= 255 for item in items)
    items = collect([tmp_path / "in"], tmp_path / "out")
    assert run(items, tmp_path / "out", compare=True, save_faces=True).done == 2
    assert (tmp_path / "out" / f"{stem}.png").exists()
    assert len(list((tmp_path / "out" / "faces").iterdir())) == 4


def test_a_name_that_is_no_text_is_restored_noted_and_gone_on_from(tmp_path):
    odd = os.fsdecode(b"caf\xe9 \xff.png")
    photograph(tmp_path / "in" / odd, 1)
    photograph(tmp_path / "in" / "z.png", 2)
    items = collect([tmp_path / "in"], tmp_path / "out")
    assert run(items, tmp_path / "out").done == 2
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert Path(report["pictures"][0]["input"]).name == odd
    assert run(items, tmp_path / "out", resume=True).skipped == 2


def test_a_console_without_the_letters_of_a_name_prints_escapes(tmp_path):
    (tmp_path / "caf\u00e9 人.jpg").write_text("no picture")
    command = [sys.executable, "-m", "gpen_core.cli.main", "detect", str(tmp_path), "-o", str(tmp_path / "人")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "caf\\xe9 \\u4eba.jpg is not a picture" in done.stderr
    assert "\\u4eba" in done.stdout


# ---- pages


def scan(path: Path, pages: int = 3) -> Path:
    """A TIFF of several pages; the last is dark, so has no face."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(5)
    sheets = [draw.integers(0, 256 if page < pages - 1 else 90, (60, 80, 3), dtype=np.uint8) for page in range(pages)]
    first, *others = map(Image.fromarray, sheets)
    first.save(path, save_all=True, append_images=others)
    return path


def test_every_page_is_restored_when_asked_each_to_a_file_of_its_own(tmp_path):
    scan(tmp_path / "in" / "scan.tif", 11)
    photograph(tmp_path / "in" / "a.png", 1)
    items = collect([tmp_path / "in"], tmp_path / "out", pages=True)
    names = ["a.png", *(f"scan_page{page:02}.tif" for page in range(1, 12))]
    assert names_of(items, tmp_path / "out") == names
    assert run(items, tmp_path / "out", compare=True).done == 12
    rows = report_of(tmp_path / "out")["pictures"]
    assert [row.get("page") for row in rows] == [None, *range(11)]
    assert [row["status"] for row in rows] == ["restored"] * 11 + ["converted"]
    for page in (0, 5, 10):
        given = read_picture(tmp_path / "in" / "scan.tif", page=page)
        result = read_picture(tmp_path / "out" / f"scan_page{page + 1:02}.tif")
        np.testing.assert_array_equal(result.pixels, RESTORER.restore(given, OPTIONS).picture.pixels)
    assert run(items, tmp_path / "out", resume=True).skipped == 12


def test_pages_that_are_left_are_counted_on_the_terminal(tmp_path, capsys):
    scan(tmp_path / "in" / "scan.tif")
    photograph(tmp_path / "in" / "a.png", 1)
    summary = run(collect([tmp_path / "in"], tmp_path / "out"), tmp_path / "out")
    assert summary.pages_left == 1
    assert conclude(summary, tmp_path / "report.json") == 0
    assert "of 1 file that holds several pictures the first (--pages: all)" in capsys.readouterr().out
    assert conclude(summary, tmp_path / "report.json", pages=False) == 0
    assert "of 1 file that holds several pictures the first; report" in capsys.readouterr().out
    assert conclude(BatchSummary(done=1, skipped=0, faces=0, faceless=1, failed=()), tmp_path / "report.json") == 0
    assert "--pages" not in capsys.readouterr().out
    with pytest.raises(InputError, match="holds 3 pictures; give a folder"):
        collect([tmp_path / "in" / "scan.tif"], tmp_path / "one.tif", pages=True)


def test_frames_of_a_gif_become_pictures(tmp_path):
    frames = [Image.fromarray(np.full((60, 80, 3), value, np.uint8)) for value in (10, 120, 250)]
    (tmp_path / "in").mkdir()
    frames[0].save(tmp_path / "in" / "a.gif", save_all=True, append_images=frames[1:])
    items = collect([tmp_path / "in"], tmp_path / "out", pages=True)
    assert names_of(items, tmp_path / "out") == ["a_page1.png", "a_page2.png", "a_page3.png"]
    assert run(items, tmp_path / "out", restoring(RESTORER, OPTIONS)).done == 3


@pytest.mark.parametrize(("name", "count"), [("x.mp4", 1), ("x.gif", 1), ("x.png", 2), ("x.mov", 2)])
def test_a_folder_that_is_not_there_is_not_called_like_a_file(tmp_path, name, count):
    pictures = [photograph(tmp_path / f"{number}.png", number) for number in range(count)]
    with pytest.raises(InputError, match=f"{name} is called like a file.*(written as .jpg|there are 2 pictures)"):
        collect(pictures, tmp_path / name)
    (tmp_path / name).mkdir()
    assert len(collect(pictures, tmp_path / name)) == count
    assert len(collect(pictures, tmp_path / "2024.holiday")) == count


def test_one_picture_becomes_no_folder_that_is_called_like_an_unknown_file(tmp_path):
    picture, other = photograph(tmp_path / "in" / "a.png", 1), photograph(tmp_path / "b.png", 2)
    with pytest.raises(
        InputError, match=r"out\.xyz is called like a file.*\.jpg, .*; give one of these, or .*xyz/ for"
    ):
        collect([picture], tmp_path / "out.xyz")
    for output in (f"{tmp_path}/out.xyz/", f"{tmp_path}/x.png/", tmp_path / "2024.05", tmp_path / "out"):
        assert collect([picture], output)[0].target == Path(output) / "a.png"
    assert len(collect([picture, other], tmp_path / "results.v2")) == 2
    assert len(collect([tmp_path / "in"], tmp_path / "results.v2")) == 1
    (tmp_path / "results.v2").mkdir()
    assert len(collect([picture], tmp_path / "results.v2")) == 1


def test_one_film_becomes_no_folder_that_is_called_like_an_unknown_file(tmp_path):
    film = tmp_path / "a.mov"
    film.write_bytes(b"")
    with pytest.raises(InputError, match=r"out\.xyz is called like a file.*film is written as \.mp4.* or .*xyz/ for"):
        collect_films([film], tmp_path / "out.xyz")
    for output in (f"{tmp_path}/out.xyz/", f"{tmp_path}/x.mov/", tmp_path / "2024.05", tmp_path / "out"):
        assert collect_films([film], output)[0][0].target == Path(output) / "a.mov"
