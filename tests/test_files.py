"""Files are there whole or not at all, whoever dies, races or plants links."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gpen_core.errors import InputError
from gpen_core.files import claimed, files_below, replacing, shortened, sweep

ROOT = Path(__file__).parent.parent

HELD = """
import sys, time
from pathlib import Path
from gpen_core.files import claimed, replacing
with {what}(Path({path!r})):
    print("held", flush=True)
    time.sleep(60)
"""


def holding(what: str, path: Path) -> "subprocess.Popen[str]":
    """A process that is in the middle of `what`."""
    command = [sys.executable, "-c", HELD.format(what=what, path=str(path))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def killed(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_what_a_killed_process_left_is_swept_and_what_is_in_use_stays(tmp_path):
    (tmp_path / ".mine.part").write_text("somebody else's")
    process = holding("replacing", tmp_path / "a.png")
    sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    killed(process)
    with replacing(tmp_path / "b.png") as temporary:
        temporary.write_text("b")
        sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".mine.part", "b.png"]
    sweep(tmp_path / "no such folder")


def test_a_claim_is_held_by_one_process_and_let_go_of_by_a_kill(tmp_path):
    process = holding("claimed", tmp_path / "report.json")
    with pytest.raises(InputError, match="another run is writing"), claimed(tmp_path / "report.json"):
        pass
    with claimed(tmp_path / "other.json"):
        pass
    killed(process)
    with claimed(tmp_path / "report.json"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_temporary_names_are_made_exclusively_and_cannot_be_foreseen(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / ".a.png.part").symlink_to(tmp_path / "precious")
    with replacing(tmp_path / "a.png") as first, replacing(tmp_path / "a.png") as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "precious").read_text() == "precious"
    assert (tmp_path / "a.png").read_text() == "first"
    (tmp_path / ".report.json.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match=r"loop|link"), claimed(tmp_path / "report.json"):
        pass


@pytest.mark.parametrize("name", ["a" * 300 + ".png", "é" * 200 + ".jpeg", "人" * 100, "a." + "b" * 300])
def test_long_names_are_shortened_to_what_a_file_may_be_called_and_stay_distinct(tmp_path, name):
    short = shortened(name)
    assert len(os.fsencode(short)) <= 255
    assert len(Path(name).suffix) > 9 or short.endswith(Path(name).suffix)
    assert short != shortened("x" + name)
    (tmp_path / short).write_text("")
    assert shortened("short.png") == "short.png"


def test_a_name_of_the_greatest_length_can_be_replaced_and_claimed(tmp_path):
    path = tmp_path / ("人" * 83 + ".png")
    with claimed(path), replacing(path) as temporary:
        temporary.write_text("there")
    assert path.read_text() == "there"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_files_behind_links_are_found_once_and_what_leads_nowhere_is_none(tmp_path):
    root, far = tmp_path / "root", tmp_path / "far"
    for path in (root / "a" / "1.png", root / "b.png", far / "2.png", root / ".hidden", root / "folder.png" / "3.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name, target in {
        "link": far,
        "again": far,
        "a/loop": root,
        "gone.png": tmp_path / "gone",
        "4.png": far / "2.png",
    }.items():
        (root / name).symlink_to(target)
    found = [path.relative_to(root).as_posix() for path in files_below(root)]
    assert found == ["4.png", "a/1.png", "again/2.png", "b.png", "folder.png/3.png"]
