"""What the command refuses before it begins: places that hold something else, empty words, numbers out of range."""

import json
import os
import re
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from small_batches import photograph
from small_command import gpen, model_file
from small_films import frames_of, write_film

from gpen_core import cli
from gpen_core.background import Larger
from gpen_core.batch import collect
from gpen_core.bulk import collect_archive
from gpen_core.cli.main import main
from gpen_core.data import FaceFolder
from gpen_core.errors import ConfigError, InputError
from gpen_core.film_options import FilmOptions
from gpen_core.option_texts import written
from gpen_core.trainer import Limits


@pytest.fixture
def restore(tmp_path, monkeypatch):
    """Restores in/a.png into out/; the words are further ones."""
    model = model_file(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    photograph(tmp_path / "in" / "a.png", 1)
    return lambda *words: gpen("restore", "in", "-o", "out", "--model", model, "--device", "cpu", "--quiet", *words)


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ("in/a.png", "in/a.png is there already, and no report"),
        ("b.png", "b.png is there already, and no report"),
        ("notes.json", "notes.json is there already, and no report"),
        ("out/a.png", "out/a.png is the name of a result"),
        ("out/compare/a.jpg", "--report out/compare/a.json"),
        ("new.mp4", "--report new.json"),
        ("in", "in is a folder; the report is a file: --report in/report.json"),
    ],
)
def test_a_report_takes_the_place_of_nothing_else(tmp_path, restore, capsys, report, said):
    photograph(tmp_path / "b.png", 2)
    (tmp_path / "notes.json").write_text('{"mine": 1}')
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    assert restore("--report", report) == 1
    printed = capsys.readouterr()
    assert said in printed.err
    assert len(printed.err.splitlines()) == 1
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()} == before


def test_a_report_takes_the_place_of_an_earlier_one_and_of_an_empty_file(tmp_path, restore):
    (tmp_path / "r.json").touch()
    assert restore("--report", "r.json") == 0
    pretty = json.dumps(json.loads((tmp_path / "r.json").read_text()), indent=2)
    (tmp_path / "r.json").write_text(pretty)
    assert restore("--report", "r.json") == 0
    assert (tmp_path / "r.json").read_text() != pretty


def test_a_films_report_takes_the_place_of_nothing_else(tmp_path, restore, capsys):
    write_film(tmp_path / "f.mp4", frames_of([(12.0, 14.0)] * 9))
    kept = (tmp_path / "in" / "a.png").read_bytes()
    for report in ("in/a.png", "in", "g.svg", "g.mp4"):
        words = ("f.mp4", "-o", "g.mp4", "--report", report)
        assert gpen("restore", *words, "--model", tmp_path / "small.safetensors", "--device", "cpu", "--quiet") == 1
        assert report in capsys.readouterr().err
    assert (tmp_path / "in" / "a.png").read_bytes() == kept
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "f.report.json").write_text('{"mine": 1}')
    (tmp_path / "f.mp4").rename(tmp_path / "in" / "f.mp4")
    assert restore() == 1
    assert "f.report.json is there already, and no report" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["f.report.json"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("restore", "", "-o", "out"), "an argument is empty"),
        (("restore", "in", "", "-o", "out"), "an argument is empty"),
        (("restore", "in", "-o", ""), "the value of -o is empty"),
        (("detect", "in", "--output="), "the value of --output is empty"),
        (("colorize", "", "-o", "out"), "an argument is empty"),
        (("bulk", "in", "-o", ""), "the value of -o is empty"),
        (("synthesize", "", "-o", "out"), "an argument is empty"),
        (("personal", "in", "-o", ""), "the value of -o is empty"),
        (("train", "finetune-256", "--data", "", "--out", "run"), "the value of --data is empty"),
        (("degrade", "", "--sheet", "sheet.png"), "an argument is empty"),
    ],
)
def test_an_empty_word_is_not_the_current_folder(tmp_path, restore, capsys, words, said):
    assert gpen(*words) == 2
    printed = capsys.readouterr()
    assert f"gpen {words[0]}: {said}" in printed.err
    assert len(printed.err.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "small.safetensors"]


def test_an_empty_name_is_refused_from_python_as_well(tmp_path):
    with pytest.raises(InputError, match="name of an input is empty"):
        collect([""], tmp_path)
    with pytest.raises(InputError, match="name of an input is empty"):
        collect_archive([""], str(tmp_path))
    with pytest.raises(InputError, match="name of the folder of results is empty"):
        collect_archive([str(tmp_path)], "")


_MEGAPIXELS = "expected a number from 0.001 to 100000"
_FOR_PICTURES = ("restore", "detect", "bulk", "colorize", "inpaint")
_RANGES = {
    "--max-pixels": (_FOR_PICTURES, ("nan", "inf", "-1", "0"), _MEGAPIXELS),
    "--quality": (_FOR_PICTURES, ("0", "101", "7.5"), "a whole number from 1 to 100"),
    "--upscale": (("restore",), ("0", "-1", "9"), "a whole number from 1 to 8"),
    "--tile": (("restore",), ("0", "-5"), "a whole number of at least 16"),
    "--size": (("degrade",), ("-3", "0"), "a whole number from 16 to 4096"),
    "--count": (("degrade",), ("-1", "0"), "a whole number of at least 1"),
    "--images": (("personal",), ("-5", "0"), "a whole number of at least 1"),
    "--max-images": (("train",), ("-2", "0"), "a whole number of at least 1"),
    "--max-minutes": (("train", "personal"), ("nan", "-1", "0"), "a number of at least 0.0001"),
    "--threads": (("train",), ("-1", "0"), "a whole number of at least 1"),
}  # fmt: skip
_NEEDED = {"train": ("finetune-256", "--data", "in", "--out", "out"), "degrade": ("in", "--sheet", "out")}


@pytest.mark.parametrize(
    ("flag", "verb", "value", "said"),
    [(flag, *more, said) for flag, (verbs, values, said) in _RANGES.items() for more in product(verbs, values)],
)
def test_a_number_out_of_its_range_is_refused_by_name_before_anything_is_read(restore, capsys, flag, verb, value, said):
    assert gpen(verb, *_NEEDED.get(verb, ("in", "-o", "out")), f"{flag}={value}") == 2
    printed = capsys.readouterr()
    assert f"argument {flag}: it is " in printed.err
    assert said in printed.err
    assert len(printed.err.splitlines()) == 1


@pytest.mark.parametrize("limits", [{"minutes": float("nan")}, {"minutes": -1.0}, {"images": 0}, {"images": -2}])
def test_a_limit_at_which_nothing_is_learned_is_refused_from_python_as_well(limits):
    with pytest.raises(ConfigError, match=next(iter(limits))):
        Limits(**limits)


def test_scales_and_sizes_are_refused_from_python_as_well(restore):
    with pytest.raises(InputError, match="the scale is 0"):
        Larger(scale=0)
    with pytest.raises(ConfigError, match="size is -3"):
        FaceFolder("in", -3)


def test_training_on_a_device_that_there_is_not_is_refused_in_a_line(restore, capsys):
    assert gpen("train", "finetune-256", "--data", "in", "--out", "out", "--device", "quux") == 1
    assert "there is no kind of device called 'quux'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["no-smoothing", "film-mask", *written(FilmOptions, parts=False)])
def test_what_is_said_of_films_is_refused_where_there_is_none(restore, capsys, name):
    values = {"no-smoothing": [], "decoder": ["cpu"], "crf": ["0"], "from": ["0"], "detect_every": ["2"]}
    flag = f"--{name.replace('_', '-')}"
    assert restore(flag, *values.get(name, ["99"])) == 1
    printed = capsys.readouterr()
    assert f"{flag} is for films, and there is none here" in printed.err
    assert len(printed.err.splitlines()) == 1


def test_what_is_wrong_of_films_is_seen_before_the_pictures_beside_them(tmp_path, restore, capsys):
    write_film(tmp_path / "in" / "f.mp4", frames_of([(12.0, 14.0)] * 9))
    for words, said in ((("--crf", "99"), "--crf is 99"), (("--segment", "12"), "a segment is 12 frames")):
        assert restore(*words) == 1
        assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_every_number_that_is_no_field_of_options_has_its_range():
    bare = [
        path.name
        for path in Path(cli.__file__).parent.glob("*.py")
        if re.search(r"type=(int|float)\b", path.read_text())
    ]
    assert bare == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["evaluate", "a", "b", "--degraded", "c", "--gate", "nan"],
            "--gate: it is nan; expected a number",
        ),
        (["restore", "a", "-o", "b", "--alike", "nan"], "--alike: it is nan; expected a number from -1 to 1"),
        (["compare", "--inputs", "a", "--originals", "b", "-o", "c", "m", "--rows", "-3"], "--rows: it is -3"),
        (["bulk", "a", "-o", "b", "--gpus-per-worker", "nan"], "--gpus-per-worker: it is nan"),
        (["bench", "--runs", "0"], "--runs: it is 0; expected a whole number of at least 1"),
        (["serve", "--port", "70000"], "--port: it is 70000; expected a whole number from 0 to 65535"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused_at_the_door(words, said, capsys):
    assert main(words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("restore nowhere.jpg -o out", "nowhere.jpg: no such file or folder"),
        ("detect nowhere.jpg -o out", "nowhere.jpg: no such file or folder"),
        ("colorize nowhere.jpg -o out", "nowhere.jpg: no such file or folder"),
        ("inpaint nowhere.jpg -o out", "nowhere.jpg: no such file or folder"),
        ("synthesize nowhere.png -o out", "nowhere.png: no such file or folder"),
        ("personal nowhere -o out", "nowhere: no such file or folder"),
        ("info nowhere.pth", "there is no file nowhere.pth"),
        ("verify nowhere.pth", "there is no file nowhere.pth"),
        ("convert nowhere.pth new.safetensors", "there is no file nowhere.pth"),
        ("publish nowhere.pth me/mine", "there is no file nowhere.pth"),
        ("export nowhere.pth -o new.onnx", "there is no file nowhere.pth"),
        ("restore . -o out --strenght 1", "there is no option --strenght; did you mean --strength?"),
    ],
)
def test_what_is_not_there_is_said_before_torch_is_loaded(words, said, tmp_path):
    code = "import sys; sys.modules['torch'] = None; from gpen_core.cli.main import main; sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])}
    command = [sys.executable, "-c", code, *words.split()]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode in (1, 2)
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1
