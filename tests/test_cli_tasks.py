"""`gpen colorize`, `gpen inpaint` and `gpen synthesize` as a user calls them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from task_models import QuadrantParser, face_at, face_map, task_model

from gpen_core import weights
from gpen_core.cli.main import main
from gpen_core.images import read_picture
from gpen_core.tasks import colorize, colorize_face, inpaint_face, paint, parse_face, synthesize_face
from gpen_core.weights import checkpoint, load_model


@pytest.fixture(autouse=True)
def networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "load_parser", lambda source=None, device="auto": QuadrantParser())
    monkeypatch.setattr(
        weights, "load_detector", lambda source=None, device="auto": lambda x: [[face_at(20, 15, 40)]] * len(x)
    )


def model_file(folder: Path, task: str) -> Path:
    model = task_model(task, value_range=(0.0, 1.0) if task == "segmentation" else (-1.0, 1.0))
    path = folder / f"{task}.safetensors"
    checkpoint.write(path, model.state_dict(), model.config, model.card)
    return path


def save(path: Path, pixels: np.ndarray) -> Path:
    Image.fromarray(pixels).save(path)
    return path


def grey(seed: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def gpen(*words: object) -> int:
    return main([str(word) for word in (*words, "--device", "cpu", "--precision", "fp32")])


def loaded(path: Path):
    return load_model(path, device="cpu", precision="fp32")


def test_a_folder_of_photographs_is_coloured_as_the_library_does_it(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    photograph = save(tmp_path / "in" / "a.png", grey(0, 80, 100))
    model = model_file(tmp_path, "colorization")
    assert gpen("colorize", tmp_path / "in", "-o", tmp_path / "out", "--model", model, "--quiet") == 0
    assert "1 picture, 1 face" in capsys.readouterr().out
    expected = colorize(photograph, loaded(model), detector=lambda x: [[face_at(20, 15, 40)]])
    np.testing.assert_array_equal(read_picture(tmp_path / "out" / "a.png").pixels, expected.decoded.pixels)


def test_an_aligned_face_is_coloured(tmp_path):
    face, model = save(tmp_path / "face.png", grey(1, 48, 48)), model_file(tmp_path, "colorization")
    assert gpen("colorize", face, "-o", tmp_path / "out.png", "--aligned", "--model", model, "--quiet") == 0
    expected = colorize_face(face, loaded(model))
    np.testing.assert_array_equal(read_picture(tmp_path / "out.png").pixels, expected.pixels)


def test_a_mask_says_what_is_filled(tmp_path):
    pixels = np.random.default_rng(2).integers(0, 240, (32, 32, 3), dtype=np.uint8)
    mask = np.zeros((32, 32), dtype=np.uint8)
    mask[5:12, 5:12] = 255
    face, model = save(tmp_path / "face.png", pixels), model_file(tmp_path, "inpainting")
    hole = save(tmp_path / "mask.png", mask)
    words = ("inpaint", face, "-o", tmp_path / "out.png", "--aligned", "--mask", hole, "--model", model, "--quiet")
    assert gpen(*words) == 0
    filled = read_picture(tmp_path / "out.png").pixels
    np.testing.assert_array_equal(filled[mask == 0], pixels[mask == 0])
    np.testing.assert_array_equal(filled, inpaint_face(pixels, loaded(model), mask=mask))


def test_maps_are_parsed_edited_and_made_into_faces(tmp_path):
    model = model_file(tmp_path, "segmentation")
    face = save(tmp_path / "face.png", np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    assert gpen("synthesize", "--parse", face, "-o", tmp_path / "map.png") == 0
    labels = parse_face(face, QuadrantParser())
    np.testing.assert_array_equal(read_picture(tmp_path / "map.png").pixels, paint(labels))
    labels[labels == 13] = 14
    save(tmp_path / "edited.png", paint(labels))
    assert gpen("synthesize", tmp_path / "edited.png", "-o", tmp_path / "made.png", "--model", model) == 0
    np.testing.assert_array_equal(read_picture(tmp_path / "made.png").pixels, synthesize_face(labels, loaded(model)))


def test_a_photographs_faces_are_made_anew_from_their_maps(tmp_path, capsys):
    model = model_file(tmp_path, "segmentation")
    pixels = np.random.default_rng(4).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    photograph = save(tmp_path / "photo.png", pixels)
    assert gpen("synthesize", "--parse-photo", photograph, "-o", tmp_path / "maps", "--model", model) == 0
    labels = face_map(64)
    np.testing.assert_array_equal(read_picture(tmp_path / "maps" / "photo_00.png").pixels, paint(labels))
    words = ("synthesize", tmp_path / "maps" / "photo_00.png", "--photo", photograph, "-o", tmp_path / "new.png")
    assert gpen(*words, "--model", model) == 0
    changed = (read_picture(tmp_path / "new.png").pixels != pixels).any(2)
    assert changed.any()
    assert not changed[:, 90:].any()
    assert "1 face made anew" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("verb", "wanted"), [("colorize", "colorization"), ("inpaint", "inpainting"), ("synthesize", "segmentation")]
)
def test_a_model_of_another_task_is_refused_in_one_line(tmp_path, capsys, verb, wanted):
    model, face = model_file(tmp_path, "restoration"), save(tmp_path / "face.png", grey(5, 32, 32))
    assert gpen(verb, face, "-o", tmp_path / "out.png", "--model", model) == 1
    said = capsys.readouterr().err
    assert wanted in said
    assert "small restoration is one for restoration" in said
    assert len(said.strip().splitlines()) == 1
    assert gpen(verb, face, "-o", tmp_path / "out.png") == 1
    assert f"no model for {wanted} ships" in capsys.readouterr().err


def test_a_damaged_map_is_refused_with_its_position(tmp_path, capsys):
    colours = paint(face_map(128))
    colours[10:30, 20:40] = 128
    path, model = save(tmp_path / "map.png", colours), model_file(tmp_path, "segmentation")
    assert gpen("synthesize", path, "-o", tmp_path / "out.png", "--model", model) == 1
    assert "2.4 % of the map's colours" in capsys.readouterr().err


def test_maps_that_cannot_be_taken_are_named_and_the_others_made(tmp_path, capsys):
    model, folder = model_file(tmp_path, "segmentation"), tmp_path / "maps"
    folder.mkdir()
    save(folder / "a.png", np.full((64, 64, 3), 128, np.uint8))
    save(folder / "b.png", paint(face_map(64)))
    (folder / "c.png").write_bytes((folder / "b.png").read_bytes()[:60])
    assert gpen("synthesize", folder, "-o", tmp_path / "made", "--model", model) == 1
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["b.png"]
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"gpen: {folder / 'a.png'}: 100 % of the map's colours")
    assert second.startswith(f"gpen: {folder / 'c.png'} is damaged")
