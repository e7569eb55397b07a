"""Several films in one run: taken up again wherever it was killed, and none kept from its turn by another."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from small_films import KnownFaces, Sharpener, decoded, frames_of, write_film
from small_models import small_model
from training_runs import script_environment

from gpen_core import weights
from gpen_core.background import Larger, Upscaler
from gpen_core.cli.main import main
from gpen_core.config import GPENConfig, ModelCard
from gpen_core.errors import InputError, PictureError
from gpen_core.files import claimed
from gpen_core.images import as_picture
from gpen_core.options import Masking, RestoreOptions
from gpen_core.restore import FaceRestorer
from gpen_core.video import FilmOptions, restore_film
from gpen_core.video.inputs import collect_films
from gpen_core.weights import checkpoint

STILL = (12.0, 14.0)


def run(film: Path, out: Path, *, resume: bool = False):
    """The film with a face that stays where it is, so that the detector need not know where a run begins."""
    restorer = FaceRestorer(Sharpener(), KnownFaces([[STILL]] * 60))
    options = FilmOptions(segment=8, resume=resume, preset="ultrafast", quality=10)
    return restore_film(film, out, restorer, film=options, report=out.with_suffix(".report.json"))


def figures(report: Path) -> dict:
    values = json.loads(report.read_text())
    kept = ("frames", "faces", "cuts", "tracks", "flicker", "flicker_without_smoothing", "notes")
    return {key: values[key] for key in kept}


def still_film(path: Path, count: int = 17) -> Path:
    return write_film(path, frames_of([STILL] * count, noise=4), sound=True)


def test_a_film_killed_at_some_file_operations_is_gone_on_with_to_the_same_file(tmp_path):
    """At every one of them, and at random: `tests/campaign`."""
    command = [sys.executable, str(Path(__file__).with_name("film_kills.py")), str(tmp_path / "k"), "every", "23"]
    done = subprocess.run(command, env=script_environment(), capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    *_, last = done.stdout.splitlines()
    assert int(last.split()[0]) >= 3
    assert last.endswith(" 0 faults"), done.stdout


def test_a_finished_film_is_known_again_and_not_with_other_settings(tmp_path):
    film, out = still_film(tmp_path / "in.mp4", 9), tmp_path / "out.mp4"
    first = run(film, out)
    assert first.frames_before == 0
    again = run(film, out, resume=True)
    assert again.frames_before == again.frames == 9
    assert again.tracks == first.tracks
    restorer = FaceRestorer(Sharpener(), KnownFaces([[STILL]] * 60))
    with pytest.raises(InputError, match=r"other settings \(encoding.options was .*'ultrafast'.*, now .*'faster'"):
        restore_film(film, out, restorer, film=FilmOptions(segment=8, resume=True), report=tmp_path / "out.report.json")
    still_film(film, 10)
    with pytest.raises(InputError, match=r"begun with other settings \(film was"):
        run(film, out, resume=True)


def test_a_report_that_does_not_say_by_which_settings_is_no_journal(tmp_path):
    film, out = still_film(tmp_path / "in.mp4", 9), tmp_path / "out.mp4"
    run(film, out)
    report = tmp_path / "out.report.json"
    values = json.loads(report.read_text())
    del values["journal"]["settings"]
    report.write_text(json.dumps(values))
    with pytest.raises(PictureError, match="is there already"):
        run(film, out, resume=True)


def test_a_damaged_journal_is_a_fresh_start_and_is_said_so(tmp_path):
    film, out = still_film(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    restorer = FaceRestorer(Sharpener(), KnownFaces([[STILL]] * 60))

    def stop(progress):
        raise KeyboardInterrupt

    options = FilmOptions(segment=8, preset="ultrafast", quality=10)
    with pytest.raises(KeyboardInterrupt):
        restore_film(film, out, restorer, film=options, progress=stop)
    for state in (tmp_path / ".out.mp4.segments").glob("*.safetensors"):
        state.write_bytes(state.read_bytes()[:40])
    report = run(film, out, resume=True)
    assert report.frames == 17
    assert any("damaged; the film was begun anew" in note for note in report.notes)


class Weighed(torch.nn.Module):
    """A network of one weight in the place of any part."""

    scale = 2

    def __init__(self, part: str, weight: float = 0.0) -> None:
        super().__init__()
        self.part, self.weight = part, torch.nn.Parameter(torch.tensor(weight))

    def forward(self, given: torch.Tensor):
        if self.part == "background":
            return F.interpolate(given, scale_factor=2)
        return [[]] if self.part == "detector" else torch.zeros(len(given), 8, 8)


@pytest.mark.parametrize("part", ["detector", "parser", "occluder", "background"])
def test_work_begun_with_other_weights_in_any_part_is_not_gone_on_with(tmp_path, part):
    film, target = still_film(tmp_path / "in.mp4"), tmp_path / "out.mp4"
    options = RestoreOptions(masking=Masking(occlusion=True))

    def run_with(weight: float, progress=None, **settings):
        parts = {kind: Weighed(kind, weight * (kind == part)) for kind in ("detector", "parser", "occluder")}
        larger = Larger(scale=2, upscaler=Upscaler(network=Weighed(part, weight))) if part == "background" else None
        settings = FilmOptions(segment=8, preset="ultrafast", **settings)
        restorer = FaceRestorer(Sharpener(), **parts)
        return restore_film(film, target, restorer, options, film=settings, larger=larger, progress=progress)

    def stop(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_with(1.0, stop)
    with pytest.raises(InputError, match=rf"begun with other settings \({part} was .*; give the same"):
        run_with(2.0, resume=True)
    assert run_with(1.0, resume=True).frames_before == 8


def test_two_runs_never_write_one_film(tmp_path):
    film, out = still_film(tmp_path / "in.mp4", 9), tmp_path / "out.mp4"
    with claimed(out), pytest.raises(InputError, match="another run is writing"):
        run(film, out)
    run(film, out)


@pytest.fixture
def words(tmp_path, monkeypatch):
    network = small_model(GPENConfig.standard(32, narrow=1 / 32, style_dim=16, n_mlp=2))
    checkpoint.write(tmp_path / "small.safetensors", network.state_dict(), network.config, ModelCard(name="small"))
    monkeypatch.setattr(weights, "load_detector", lambda source=None, device="auto": KnownFaces([[STILL]] * 200))

    def call(*inputs, output="out", more=()):
        given = ["restore", *inputs, "-o", tmp_path / output, "--model", tmp_path / "small.safetensors"]
        return main([str(w) for w in [*given, "--device", "cpu", "--quiet", "--preset", "ultrafast", *more]])

    return call


def test_a_broken_film_and_a_finished_one_keep_none_from_its_turn(tmp_path, words, capsys):
    films = [still_film(tmp_path / "a.mp4", 9), tmp_path / "b.mp4", still_film(tmp_path / "c.mkv", 9)]
    films[1].write_text("no film")
    assert words(films[0]) == 0
    assert words(*films, more=["--resume"]) == 1
    said = capsys.readouterr()
    assert "a.mp4: done before" in said.out
    assert "3 films, 1 failed" in said.out
    assert "b.mp4 cannot be opened as a film" in said.err
    assert len(said.err.splitlines()) == 1
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        *("a.mp4", "a.report.json", "a.report.svg", "c.mkv", "c.report.json", "c.report.svg")
    ]
    assert len(decoded(tmp_path / "out" / "c.mkv")[0]) == 9


def test_two_films_never_become_one(tmp_path, words, capsys):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        still_film(tmp_path / folder / "x.mp4", 9)
    given = [tmp_path / "a" / "x.mp4", tmp_path / "b" / "x.mp4"]
    assert words(*given, more=["--overwrite"]) == 1
    assert "would both become" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert words(*given, output="out.mp4") == 1
    assert "2 films cannot all become" in capsys.readouterr().err
    assert words(*given, more=["--overwrite", "--report", "r.json"]) == 1
    still_film(tmp_path / "a" / "x.mkv", 9)
    assert words(tmp_path / "a") == 0
    names = sorted(p.name for p in (tmp_path / "out").iterdir() if p.suffix != ".svg")
    assert names == ["x.mkv", "x.mkv.report.json", "x.mp4", "x.mp4.report.json"]


@pytest.mark.filterwarnings("always:--compare is for pictures")
def test_a_folder_gives_its_pictures_and_its_films_whatever_they_are_called(tmp_path, words, capsys):
    inside = tmp_path / "in" / "deep"
    inside.mkdir(parents=True)
    as_picture(frames_of([STILL])[0]).save(tmp_path / "in" / "photo.png")
    still_film(tmp_path / "f.mp4", 9).rename(inside / "clip.dat")
    (tmp_path / "in" / "notes.ts").write_text("export {}")
    assert words(tmp_path / "in", output="compared", more=["--compare"]) == 0
    assert "--compare is for pictures; the films are done without it" in capsys.readouterr().err
    assert (tmp_path / "compared" / "compare" / "photo.jpg").is_file()
    assert words(tmp_path / "in", output="no", more=["--min-identity", "0.5"]) == 1
    assert words(tmp_path / "in") == 0
    names = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.*") if p.suffix != ".svg")
    assert names == ["deep/clip.mp4", "deep/clip.report.json", "photo.png", "report.json"]
    assert words(inside / "clip.dat", output="named.mp4") == 0
    items, rest = collect_films([tmp_path / "in", inside], tmp_path / "out")
    assert [item.source.name for item in items] == ["clip.dat"]
    assert rest == [tmp_path / "in"]


def test_every_option_of_the_command_is_honoured_for_films_or_refused_by_name(tmp_path, words, capsys):
    film = still_film(tmp_path / "a.mp4", 9)
    assert words(film, output="large.mp4", more=["--upscale", "2"]) == 0
    assert words(film, output="dry.mp4", more=["--dry-run"]) == 0
    assert words(film, output="part.mp4", more=["--from", "0.1", "--to", "0:00:00.3"]) == 0
    shapes = [decoded(tmp_path / name)[0] for name in ("large.mp4", "dry.mp4", "part.mp4")]
    assert [(len(frames), frames[0].shape[:2]) for frames in shapes] == [
        (9, (144, 208)),
        (9, (72, 104)),
        (5, (72, 104)),
    ]
    capsys.readouterr()
    for option in (["--aligned"], ["--compare"], ["--save-faces"], ["--format", "png"], ["--min-identity", "0.5"]):
        assert words(film, output="no.mp4", more=option) == 1
        assert f"{option[0]} is for pictures" in capsys.readouterr().err
    assert not (tmp_path / "no.mp4").exists()
