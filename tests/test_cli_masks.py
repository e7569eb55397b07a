"""`gpen restore` with painted masks: one for a picture, or a folder of them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_batches import photograph
from small_command import gpen, model_file

from gpen_core import weights
from gpen_core.errors import HubError
from gpen_core.images import read_picture


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return model_file(tmp_path, monkeypatch)


def paint(path: Path, *boxes: tuple[int, int, int, int], size: tuple[int, int] = (60, 80)) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    for x1, y1, x2, y2 in boxes:
        mask[y1:y2, x1:x2] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return mask > 0


@pytest.mark.parametrize("invert", [False, True])
def test_only_what_a_painted_mask_leaves_open_changes(tmp_path, model, invert):
    photograph(tmp_path / "a.png", 1)
    white = paint(tmp_path / "mask.png", (25, 0, 40, 60))
    words = ["restore", tmp_path / "a.png", "--model", model, "--quiet", "-o"]
    assert gpen(*words, tmp_path / "plain.png") == 0
    masked = [*words, tmp_path / "b.png", "--mask", tmp_path / "mask.png", *(["--invert"] if invert else [])]
    assert gpen(*masked) == 0
    before, plain, after = (read_picture(tmp_path / name).pixels for name in ("a.png", "plain.png", "b.png"))
    may = ~white if invert else white
    np.testing.assert_array_equal(after[~may], before[~may])
    np.testing.assert_array_equal(after[may], plain[may])
    assert (plain != before)[may].any()
    assert json.loads((tmp_path / "b.report.json").read_text())["settings"]["masks"][2] is invert


def test_each_picture_of_a_folder_has_the_mask_that_is_called_like_it(tmp_path, model, capsys):
    for name in ("a.png", "sub/b.jpg", "c.png"):
        photograph(tmp_path / "in" / name, 1)
    paint(tmp_path / "masks" / "a.png")
    paint(tmp_path / "masks" / "sub" / "b.png", (0, 0, 80, 60))
    words = ["restore", tmp_path / "in", "-o", tmp_path / "out", "--model", model, "--quiet", "--mask-folder"]
    assert gpen(*words, tmp_path / "masks", "--upscale", 2) == 1
    said = capsys.readouterr().err
    assert "holds no mask for" in said
    assert "put c.png there" in said
    assert gpen(*words, tmp_path / "masks") == 1
    before = read_picture(tmp_path / "in" / "a.png").pixels
    np.testing.assert_array_equal(read_picture(tmp_path / "out" / "a.png").pixels, before)
    assert (
        read_picture(tmp_path / "out" / "sub" / "b.jpg").pixels != read_picture(tmp_path / "in/sub/b.jpg").pixels
    ).any()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--mask", "elipse"), "--mask elipse is neither a kind of mask nor a file; did you mean ellipse?"),
        (("--invert",), "--invert needs --mask FILE or --mask-folder DIR"),
        (("--mask-folder", "nowhere"), "nowhere is not a folder of masks"),
        (("--mask", "small.png"), "the mask is 9×9, the picture 80×60"),
        (("--mask", "small.png", "--mask-folder", "."), "leave one out"),
        (("--mask", "words.txt"), "gpen restore: words.txt is not a picture"),
    ],
)
def test_masks_that_contradict_themselves_or_the_picture_are_refused(tmp_path, model, words, said, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photograph(tmp_path / "a.png", 1)
    paint(tmp_path / "small.png", size=(9, 9))
    (tmp_path / "words.txt").write_text("no picture")
    assert gpen("restore", "a.png", "-o", "b.png", "--model", model, "--quiet", *words) == 1
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--reference"], ["--mask", "parser"], ["--region-strength", "eyes=0.5"]])
def test_a_parser_that_cannot_be_had_ends_the_run_before_the_first_picture(tmp_path, model, words, capsys, monkeypatch):
    asked = []

    def unreachable(source=None, device="auto"):
        asked.append(source)
        raise HubError("parsenet cannot be fetched; check the network")

    monkeypatch.setattr(weights, "load_parser", unreachable)
    for number in range(2):
        photograph(tmp_path / "in" / f"{number}.png", number)
    usual = ("restore", tmp_path / "in", "-o", tmp_path / "out", "--model", model, "--device", "cpu")
    assert gpen(*usual, *words) == 1
    assert capsys.readouterr().err == "gpen restore: parsenet cannot be fetched; check the network\n"
    assert asked == [None]
    assert not (tmp_path / "out").exists()
    assert gpen(*usual, *words, "--dry-run") == 0
    assert gpen(*usual, "--overwrite") == 0
    assert asked == [None]
