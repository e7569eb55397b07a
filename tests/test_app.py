"""What the app does behind its page: faces chosen by clicks, what was painted, results to take home, and ends."""

from __future__ import annotations

import contextlib
import contextvars
import io
import json
import socket
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_pictures import smooth
from small_restorers import face, inverted

from gpen_core import Detection, FaceRestorer, RestoreOptions
from gpen_core.app import create_app
from gpen_core.app.look import Choice, Look
from gpen_core.app.studio import Cancelled, Studio, everything_in
from gpen_core.app.visitors import Visitors
from gpen_core.cli.main import main
from gpen_core.contracts import Detector
from gpen_core.errors import InputError, MissingPackageError, PictureError
from gpen_core.images.metadata import Provenance
from gpen_core.options import Blending, Selection

TWO = [face(10, 15, 40), face(70, 15, 40)]


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch) -> Studio:
    made = Studio(max_pixels=1_000_000)
    use(made, lambda pictures: [list(TWO) for _ in pictures], monkeypatch)
    return made


def use(studio: Studio, detector: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives it networks."""
    restorer = FaceRestorer(inverted(), detector)
    monkeypatch.setattr(studio, "detector", lambda: detector)
    monkeypatch.setattr(studio, "restorer", lambda model: (restorer, Provenance(model=model)))


def upload(folder: Path, name: str, seed: int = 0) -> Path:
    """As Gradio keeps it: each in a folder of its own."""
    path = folder / f"upload-{seed}" / name
    path.parent.mkdir(parents=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (90, 120, 3), np.uint8)).save(path)
    return path


def restore(studio: Studio, paths: list[Path], folder: Path, **more):
    folder.mkdir()
    steps: list[float] = []
    more.setdefault("progress", lambda done, words: steps.append(done))
    result = studio.restore(paths, folder, model="it", options=more.pop("options", RestoreOptions()), **more)
    return result, steps


def numbered(*faces: Detection) -> dict[int, Detection]:
    return dict(enumerate(faces))


def changed(before: Path, after: Path) -> np.ndarray:
    return (np.asarray(Image.open(before)) != np.asarray(Image.open(after))).any(2)


def test_a_click_finds_the_smallest_face_under_it_and_marks_it():
    look = Look(path=Path("a"), image=Image.new("RGB", (60, 45)), scale=2.0, faces=numbered(*TWO, face(0, 0, 90)))
    assert [look.face_at(x, y) for x, y in ((10, 20), (40, 20), (30, 40), (58, 44))] == [0, 1, 2, None]
    assert look.marked().tobytes() != look.marked({1}).tobytes()


def test_a_large_picture_is_shown_small_and_its_faces_where_they_are(studio, tmp_path):
    path = tmp_path / "large.png"
    Image.new("RGB", (3200, 300)).save(path)
    look = studio.look(path, Selection())
    assert (look.image.size, look.scale) == ((1600, 150), 2.0)
    assert look.face_at(45, 15) == 1


def test_looking_has_one_core_and_restoring_a_thread_that_stays(tmp_path, two_cores, monkeypatch):
    seen: list[tuple[int, int]] = []

    def detector(pictures):
        seen.append((threading.get_ident(), torch.get_num_threads()))
        return [list(TWO) for _ in pictures]

    made, mine = Studio(max_pixels=1_000_000), contextvars.ContextVar("mine", default="nobody's")
    use(made, detector, monkeypatch)
    mine.set("this page's")
    path, told = upload(tmp_path, "a.png"), []
    made.look(path, Selection())
    for name in ("one", "two"):
        restore(made, [path], tmp_path / name, progress=lambda done, words: told.append(mine.get()))
    (looked, alone), (first, cores), second = seen
    assert (alone, cores) == (1, 2)
    assert first == second[0]
    assert len({looked, first, threading.get_ident()}) == 3
    assert set(told) == {"this page's"}


def test_a_face_that_was_left_out_stays_to_the_bit(studio, tmp_path):
    path = upload(tmp_path, "a.png")
    look = studio.look(path, Selection())
    result, steps = restore(studio, [path], tmp_path / "out", choices=[Choice(look=look, left_out=frozenset({0}))])
    ((before, after),) = result.pairs
    differs = changed(before, after)
    assert (before, steps[-1], result.said) == (path, 1.0, "1 of 1 picture, 1 face")
    assert not differs[:, :60].any()
    assert differs[:, 60:].any()


def test_only_what_was_painted_changes(studio, tmp_path):
    path = upload(tmp_path, "a.png")
    look = studio.look(path, Selection())
    painted = np.zeros((90, 120), np.float32)
    painted[:40] = 1
    result, _ = restore(studio, [path], tmp_path / "out", choices=[Choice(look=look, painted=painted)])
    differs = changed(*result.pairs[0])
    assert differs[:40].any()
    assert not differs[41:].any()


def test_faces_are_left_out_of_several_pictures_also_where_they_are_then_counted_otherwise(studio, tmp_path):
    paths = [upload(tmp_path, f"{seed}.png", seed) for seed in range(3)]
    first, last = (studio.look(paths[at], Selection(order="left")) for at in (0, 2))
    choices = [Choice(look=first, left_out=frozenset({0})), Choice(look=last, left_out=frozenset({0, 1}))]
    by_size = RestoreOptions(selection=Selection(order="score"), blending=Blending(face_strength={1: 0.5}))
    result, _ = restore(studio, paths, tmp_path / "out", choices=choices, options=by_size)
    left, right = (slice(0, 60), slice(60, 120))
    seen = [(differs[:, left].any(), differs[:, right].any()) for differs in (changed(*pair) for pair in result.pairs)]
    assert seen == [(False, True), (True, True), (False, False)]
    assert result.said == "3 of 3 pictures, 3 faces, 1 without a face"


def test_a_choice_follows_its_face_to_where_it_is_found_anew():
    choice = Choice(look=Look(path=Path("a"), image=Image.new("RGB", (9, 9)), scale=1, faces=numbered(*TWO)))
    moved = {3: face(68, 17, 42), 4: face(12, 14, 38), 5: face(40, 45, 8)}
    assert replace(choice, left_out=frozenset({0})).left_out_of(moved) == {4}
    assert replace(choice, left_out=frozenset({0, 1})).left_out_of(moved) == {3, 4}


def test_what_is_said_of_an_upload_names_it_as_it_was_given(studio, tmp_path):
    path = upload(tmp_path, "a.png")
    path.write_bytes(b"no picture")
    result, _ = restore(studio, [path, upload(tmp_path, "b.png", 1)], tmp_path / "out")
    assert result.said.splitlines()[1].startswith("a.png is not a picture")


def test_what_can_be_decoded_of_a_damaged_picture_is_restored_and_said(studio, tmp_path):
    whole = io.BytesIO()
    Image.fromarray(smooth(120, 160)).save(whole, "JPEG", quality=95)
    for name, size in (("a.jpg", len(whole.getvalue()) // 2), ("b.jpg", None)):
        (tmp_path / name).write_bytes(whole.getvalue()[:size])
    result, _ = restore(studio, [tmp_path / "a.jpg", tmp_path / "b.jpg"], tmp_path / "out")
    assert result.said.splitlines() == [
        "2 of 2 pictures, 4 faces",
        "1 picture: the file is damaged or cut short; what could be decoded was used",
    ]
    assert studio.look(tmp_path / "a.jpg", Selection()).image.size == (160, 120)


def test_pictures_of_one_name_and_broken_ones_do_not_get_into_each_others_way(studio, tmp_path):
    paths = [upload(tmp_path, "a.png", seed) for seed in range(4)]
    paths[2].write_bytes(b"no picture")
    result, _ = restore(studio, paths, tmp_path / "out")
    assert [before for before, _ in result.pairs] == [paths[0], paths[1], paths[3]]
    assert len({after for _, after in result.pairs}) == 3
    said = result.said.splitlines()
    assert said[0] == "3 of 4 pictures, 6 faces"
    assert "is not a picture" in said[1]
    assert len(said) == 2
    assert [path.name for path in result.files[-2:]] == ["report.html", "report.json"]
    assert len(json.loads(result.files[-1].read_text())["pictures"]) == 4


def test_a_film_that_the_system_refuses_is_named_and_the_next_goes_on(studio, tmp_path, monkeypatch):
    def refused(source, target, *given, **more):
        if source.name == "first.mp4":
            raise OSError(13, "Permission denied")
        raise PictureError(f"{source.name} holds no frames")

    monkeypatch.setattr("gpen_core.video.restore_film", refused)
    films = [tmp_path / "first.mp4", tmp_path / "second.mp4"]
    for film in films:
        film.touch()
    result, _ = restore(studio, films, tmp_path / "out")
    assert result.said.splitlines() == ["first.mp4: [Errno 13] Permission denied", "second.mp4 holds no frames"]


def test_a_page_that_is_gone_leaves_nothing_behind():
    visitors = Visitors()
    with visitors.working("here") as (other, goes_on), visitors.working("gone") as (folder, stop):
        visitors.forget("gone")
        assert (stop.is_set(), folder.exists()) == (True, False)
        assert (goes_on.is_set(), other.exists()) == (False, True)
        assert list(visitors._stops) == ["here"]
    with visitors.working("gone") as (again, fresh):
        assert (fresh.is_set(), again.exists()) == (False, True)
    assert list(visitors._stops) == []
    visitors._root.cleanup()


def fails(visitors: Visitors) -> Path:
    """The folder of a run that is cancelled."""
    folders = []
    with contextlib.suppress(Cancelled), visitors.working("page") as (folder, _):
        (folder / "half.png").touch()
        folders.append(folder)
        raise Cancelled("enough")
    return folders[0]


def test_what_was_made_stays_until_something_else_is():
    visitors = Visitors()
    with visitors.working("page") as (first, _):
        (first / "result.png").touch()
    failed = fails(visitors)
    assert (first.exists(), failed.exists()) == (True, False)
    with visitors.working("page") as (second, _):
        assert (first / "result.png").exists()
    assert (first.exists(), second.exists()) == (False, True)
    visitors._root.cleanup()


def test_a_page_that_waits_for_its_turn_can_be_stopped():
    visitors = Visitors()
    assert not visitors.stop("page")
    visitors.ask("page")
    waiting = visitors._stops["page"]
    assert visitors.stop("page")
    assert waiting.is_set()
    visitors.ask("page")
    with visitors.working("page") as (_, stop):
        assert not stop.is_set()
        visitors.ask("page")
        assert stop.is_set()
    assert visitors.stop("page")
    visitors._root.cleanup()


def test_many_results_come_as_one_archive(studio, tmp_path):
    paths = [upload(tmp_path, f"{seed}.png", seed) for seed in range(4)]
    result, _ = restore(studio, paths, tmp_path / "out")
    assert [path.name for path in result.files] == ["restored.zip", "report.html", "report.json"]
    assert zipfile.ZipFile(result.files[0]).namelist() == ["0.png", "1.png", "2.png", "3.png"]


def test_cancelling_ends_the_run_after_the_picture_at_hand(studio, tmp_path):
    def stop(done: float, words: str) -> None:
        if done:
            raise Cancelled("enough")

    paths = [upload(tmp_path, f"{seed}.png", seed) for seed in range(9)]
    with pytest.raises(Cancelled, match="enough"):
        restore(studio, paths, tmp_path / "out", progress=stop)
    assert len(list((tmp_path / "out").glob("*.png"))) < 9


def test_nothing_dropped_is_said(studio, tmp_path):
    with pytest.raises(InputError, match="drop a picture"):
        restore(studio, [], tmp_path / "out")


def test_of_a_folder_pictures_and_films_are_taken(tmp_path):
    names = ["b.jpg", "a.png", "notes.txt", "film.mp4"]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in everything_in([str(tmp_path / name) for name in names])] == [
        "a.png",
        "b.jpg",
        "film.mp4",
    ]
    assert [path.name for path in everything_in([str(tmp_path / "notes.txt")])] == ["notes.txt"]


def test_without_gradio_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gradio", None)
    for name in ("gpen_core.app.events", "gpen_core.app.page", "gpen_core.app.controls"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(MissingPackageError, match=r"install gpen\[app\]"):
        create_app()


@pytest.mark.parametrize("verb", ["app", "serve"])
@pytest.mark.parametrize(
    ("token", "said"),
    [
        (None, "0.0.0.0 can be reached by others; set GPEN_TOKEN or --token-file"),
        ("short", "the token has 5 characters; expected at least 16"),
    ],
)
def test_others_are_let_in_by_a_token_of_some_length_only(verb, token, said, monkeypatch, capsys):
    monkeypatch.delenv("GPEN_TOKEN", raising=False)
    if token is not None:
        monkeypatch.setenv("GPEN_TOKEN", token)
    assert main([verb, "--host", "0.0.0.0", "--port", "0"]) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), (b"\xff\xfe\x80" * 9, "it holds no text")])
def test_a_token_file_that_cannot_be_read_is_told_in_a_line(content, said, tmp_path, capsys):
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    assert main(["serve", "--port", "0", "--token-file", str(file)]) == 1
    assert f"{file}: {said}" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["app", "serve"])
def test_a_port_in_use_is_said_before_anything_is_loaded(verb, monkeypatch, capsys):
    monkeypatch.delenv("GPEN_TOKEN", raising=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main([verb, "--port", str(port)]) == 1
    err = capsys.readouterr().err
    assert f"port {port} of 127.0.0.1 is in use; choose another with --port" in err
    assert err.count("\n") == 1
