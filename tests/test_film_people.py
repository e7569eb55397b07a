"""Whose faces of a film are restored: each track is judged once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from small_films import decoded, write_film
from small_restorers import face, inverted
from test_person import PLACES, crowd, person
from torch import Tensor

from gpen_core.film_options import FilmOptions
from gpen_core.measures.person import Person
from gpen_core.options import Blending, RestoreOptions
from gpen_core.restore import FaceRestorer
from gpen_core.video import FilmProgress, FilmReport, choice, restore_film
from gpen_core.video.choice import TrackChoice


def film_of_a_crowd(folder: Path) -> Path:
    picture = np.pad(crowd(), ((0, 2), (0, 0), (0, 0)), "edge")
    noise = np.random.default_rng(0).integers(0, 3, (24, *picture.shape), dtype=np.uint8)
    return write_film(folder / "in.mp4", [picture + frame for frame in noise])


def everyone(pictures: Tensor) -> list:
    return [[face(x, y, 60) for x, y in PLACES.values()] for _ in pictures]


def run(
    folder: Path,
    meant: Person | None = None,
    options: RestoreOptions | None = None,
    *,
    resume: bool = False,
    progress: Callable[[FilmProgress], None] | None = None,
    mark: bool = False,
) -> FilmReport:
    settings = FilmOptions(preset="ultrafast", quality=1, segment=8, resume=resume)
    paths, restorer = (folder / "in.mp4", folder / "out.mp4"), FaceRestorer(inverted(), everyone)
    return restore_film(*paths, restorer, options, film=settings, person=meant, progress=progress, mark=mark)


def changed(folder: Path) -> set[str]:
    before, after = decoded(folder / "in.mp4")[0], decoded(folder / "out.mp4")[0]
    difference = np.abs(np.stack(after).astype(int) - np.stack(before)).mean((0, 3))
    return {name for name, (x, y) in PLACES.items() if difference[y + 10 : y + 50, x + 10 : x + 50].mean() > 20}


def test_only_the_person_of_the_reference_is_restored_all_through_a_film(tmp_path: Path) -> None:
    film_of_a_crowd(tmp_path)
    report = run(tmp_path, person("bob"))
    assert changed(tmp_path) == {"bob"}
    assert ([track.number for track in report.tracks], report.spared) == ([1], (0, 2))
    assert report.tracks[0].frames == report.frames == 24


def test_only_the_person_of_the_reference_is_marked_after_an_interruption_too(tmp_path: Path) -> None:
    film_of_a_crowd(tmp_path)

    def stop(progress: FilmProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, person("bob"), progress=stop, mark=True)
    report = run(tmp_path, person("bob"), resume=True, mark=True)
    assert ([track.number for track in report.tracks], report.spared) == ([1], (0, 2))
    assert (report.tracks[0].frames, report.frames_before) == (24, 8)


def test_who_is_spared_stays_after_an_interruption_too(tmp_path: Path) -> None:
    film_of_a_crowd(tmp_path)
    run(tmp_path, person(spared=("ann",)))
    whole = (tmp_path / "out.mp4").read_bytes()
    assert changed(tmp_path) == {"bob", "cem"}
    (tmp_path / "out.mp4").unlink()

    def stop(progress: FilmProgress) -> None:
        if progress.done >= 16:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, person(spared=("ann",)), progress=stop)
    report = run(tmp_path, person(spared=("ann",)), resume=True)
    assert (tmp_path / "out.mp4").read_bytes() == whole
    assert (report.spared, report.frames_before) == ((0,), 16)


def test_a_good_face_of_a_film_is_left_alone_by_its_first_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "damage", lambda crops: (crops[:, 2].mean((1, 2)) < 0.5).float())
    film_of_a_crowd(tmp_path)
    report = run(tmp_path, options=RestoreOptions(blending=Blending(only_damaged=True)))
    assert changed(tmp_path) == {"ann", "bob"}
    assert report.spared == (2,)


def test_a_track_is_judged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "damage", lambda crops: crops.mean((1, 2, 3)))
    chosen = TrackChoice(only_damaged=True)
    assert chosen.is_meant(3, torch.ones(2, 3, 4, 4))
    assert chosen.is_meant(3, torch.zeros(2, 3, 4, 4))
    assert not chosen.is_meant(4, torch.zeros(2, 3, 4, 4))
    later = TrackChoice(only_damaged=True)
    later.resume(chosen.state())
    assert later.spared == chosen.spared == (4,)
