"""One run at a time writes below an address, and a killed one is in nobody's way for long."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from gpen_core.bulk import lease
from gpen_core.bulk.lease import Lease, leased
from gpen_core.errors import InputError, PictureError


@pytest.fixture
def note(tmp_path: Path) -> Path:
    return tmp_path / "out" / "report.parquet.lease"


def write(note: Path, age: float) -> None:
    note.parent.mkdir(exist_ok=True)
    note.write_text(json.dumps({"owner": "process 1 of elsewhere", "time": time.time() - age}))


def test_a_killed_run_keeps_others_away_for_two_minutes_and_no_longer(note):
    write(note, age=100)
    with (
        pytest.raises(InputError, match=r"process 1 of elsewhere.* if it was killed, try again in (20|19) seconds"),
        leased(note.parent.as_uri()),
    ):
        pass
    assert "elsewhere" in note.read_text()
    write(note, age=121)
    with leased(note.parent.as_uri()):
        assert "elsewhere" not in note.read_text()
    assert not note.exists()


def test_a_note_is_renewed_while_its_run_lives_whatever_its_pictures_take(note, monkeypatch):
    monkeypatch.setattr(lease, "_EVERY", 0.01)
    with leased(note.parent.as_uri()):
        first, deadline = note.read_bytes(), time.monotonic() + 120
        while note.read_bytes() in (first, b"") and time.monotonic() < deadline:
            time.sleep(0.01)
        assert json.loads(note.read_bytes())["time"] > json.loads(first)["time"]


def test_a_run_whose_place_was_taken_over_ends_with_a_line_and_leaves_the_note(note):
    ours = Lease(note.parent.as_uri())
    ours.take()
    ours.check()
    write(note, age=0)
    ours.renew()
    with pytest.raises(InputError, match=r"elsewhere.* has taken over"):
        ours.check()
    ours.give_up()
    assert "elsewhere" in note.read_text()


def test_a_damaged_note_is_none_and_a_place_that_cannot_be_written_is_told_in_a_line(note):
    note.parent.mkdir()
    note.write_text("{")
    with leased(note.parent.as_uri()):
        pass
    (note.parent / "file").touch()
    with (
        pytest.raises(PictureError, match=r"file/x cannot be (read|written)") as refused,
        leased(f"{note.parent.as_uri()}/file/x"),
    ):
        pass
    assert "\n" not in str(refused.value)
