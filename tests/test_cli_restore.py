"""`gpen restore` and `gpen detect` as a user calls them."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_batches import photograph
from small_command import detect_bright, gpen, model_file

from gpen_core.images import as_picture, read_picture
from gpen_core.options import RestoreOptions
from gpen_core.restore import FaceRestorer
from gpen_core.weights import load, load_model, location


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return model_file(tmp_path, monkeypatch)


def test_the_model_is_located_once_and_its_hash_is_in_the_report(tmp_path, model, monkeypatch):
    photograph(tmp_path / "a.png", 1)
    located: list[object] = []
    original = location.locate

    def counted(source, **options):
        located.append(source)
        return original(source, **options)

    monkeypatch.setattr(load, "locate", counted)
    monkeypatch.setattr(location, "locate", counted)
    assert gpen("restore", tmp_path / "a.png", "-o", tmp_path / "out", "--model", model, "--device", "cpu") == 0
    assert located == [str(model)]
    settings = json.loads((tmp_path / "out" / "report.json").read_text())["settings"]
    assert settings["sha256"] == hashlib.sha256(model.read_bytes()).hexdigest()


def test_one_result_with_a_name_of_its_own_has_its_report_beside_it_however_it_is_spelt(tmp_path, model, monkeypatch):
    photograph(tmp_path / "a.png", 1)
    monkeypatch.chdir(tmp_path)
    assert gpen("restore", "a.png", "-o", "b.png", "--model", model, "--device", "cpu") == 0
    assert (tmp_path / "b.report.json").exists()


def test_a_folder_is_restored_as_the_library_does_it(tmp_path, model, capsys):
    photograph(tmp_path / "in" / "a.png", 1)
    photograph(tmp_path / "in" / "sub" / "b.png", 2)
    photograph(tmp_path / "in" / "dark.jpg", 3, bright=False)
    status = gpen(
        "restore", tmp_path / "in", "-o", tmp_path / "out", "--model", model, "--precision", "fp32", "--device", "cpu"
    )
    printed = capsys.readouterr()
    assert status == 0, printed.err
    assert "3 pictures, 4 faces" in printed.out
    restorer = FaceRestorer(load_model(model, device="cpu", precision="fp32"), detect_bright)
    for name in ("a.png", "sub/b.png"):
        expected = restorer.restore(tmp_path / "in" / name, RestoreOptions())
        np.testing.assert_array_equal(read_picture(tmp_path / "out" / name).pixels, expected.picture.pixels)
    assert (tmp_path / "out" / "dark.jpg").read_bytes() == (tmp_path / "in" / "dark.jpg").read_bytes()
    text = read_picture(tmp_path / "out" / "a.png").text["Processing"]
    assert "small" in text
    assert "sha256" in text
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["settings"]["model"] == "small"
    assert report["totals"]["faces"] == 4


def test_every_option_reaches_the_restoration(tmp_path, model):
    photograph(tmp_path / "a.png", 1)
    words = [
        "--order",
        "size",
        "--largest",
        1,
        "--threshold",
        0.95,
        "--mask",
        "box",
        "--margin",
        0.1,
        "--feather",
        0.05,
    ]
    words += ["--strength", 0.5, "--face-strength", "0=0.5", "--colour-match", "crop", "--blend", "laplacian"]
    words += ["--overlap", "hard", "--smooth-below", 50, "--template", "ffhq", "--border", "reflect"]
    words += ["--fit", "least_median", "--no-antialias", "--batch-size", 1, "--no-provenance"]
    assert gpen("restore", tmp_path / "a.png", "-o", tmp_path / "b.png", "--model", model, "--quiet", *words) == 0
    report = json.loads((tmp_path / "b.report.json").read_text())
    options = report["settings"]["options"]
    assert (options["selection"]["order"], options["selection"]["largest"], options["selection"]["threshold"]) == (
        "size",
        1,
        0.95,
    )
    assert (options["masking"]["kind"], options["masking"]["margin"], options["masking"]["feather"]) == (
        "box",
        0.1,
        0.05,
    )
    blending = options["blending"]
    assert (blending["strength"], blending["face_strength"], blending["overlap"]) == (0.5, {"0": 0.5}, "hard")
    assert (blending["colour_match"], blending["blend"], blending["smooth_below"]) == ("crop", "laplacian", 50.0)
    assert (options["template"], options["border"], options["fit"]) == ("ffhq", "reflect", "least_median")
    assert (options["antialias"], options["batch_size"]) == (False, 1)
    assert report["pictures"][0]["faces"][0]["strength"] == 0.25
    assert read_picture(tmp_path / "b.png").text == {}


def test_strength_nothing_leaves_the_picture_as_it_was(tmp_path, model):
    photograph(tmp_path / "a.png", 1)
    assert (
        gpen("restore", tmp_path / "a.png", "-o", tmp_path / "b.png", "--model", model, "--strength", 0, "--quiet") == 0
    )
    np.testing.assert_array_equal(read_picture(tmp_path / "b.png").pixels, read_picture(tmp_path / "a.png").pixels)


def test_aligned_faces_formats_and_sizes(tmp_path, model, capsys):
    photograph(tmp_path / "face.png", 1, size=(32, 32))
    words = ["restore", tmp_path / "face.png", "-o", tmp_path / "out", "--model", model, "--aligned", "--quiet"]
    assert gpen(*words, "--format", "tiff", "--precision", "fp32", "--device", "cpu") == 0
    assert capsys.readouterr().out.startswith("1 aligned face;")
    given = torch.from_numpy(read_picture(tmp_path / "face.png").pixels).permute(2, 0, 1)[None] / 127.5 - 1
    expected = load_model(model, device="cpu", precision="fp32")(given)
    expected = ((expected[0].permute(1, 2, 0).clamp(-1, 1) + 1) * 127.5).round().numpy()
    assert np.abs(read_picture(tmp_path / "out" / "face.tif").pixels - expected).max() <= 1
    assert gpen(*words, "--upscale", 3, "--format", "png") == 0
    assert read_picture(tmp_path / "out" / "face.png").width == 96


def test_larger_results_and_another_format(tmp_path, model):
    photograph(tmp_path / "in" / "a.png", 1)
    photograph(tmp_path / "in" / "dark.png", 1, bright=False)
    words = ["--model", model, "--upscale", 2, "--format", "jpg", "--quality", 80, "--quiet"]
    assert gpen("restore", tmp_path / "in", "-o", tmp_path / "out", *words) == 0
    for name in ("a.jpg", "dark.jpg"):
        picture = read_picture(tmp_path / "out" / name)
        assert (picture.format, picture.width, picture.height) == ("JPEG", 160, 120)
    rows = json.loads((tmp_path / "out" / "report.json").read_text())["pictures"]
    assert [row["status"] for row in rows] == ["restored", "converted"]


def test_a_broken_picture_is_named_skipped_and_makes_the_exit_status_one(tmp_path, model, capsys):
    photograph(tmp_path / "in" / "a.png", 1)
    (tmp_path / "in" / "b.jpg").write_text("no picture")
    assert gpen("restore", tmp_path / "in", "-o", tmp_path / "out", "--model", model) == 1
    printed = capsys.readouterr()
    assert "1 failed" in printed.out
    assert "b.jpg is not a picture" in printed.err
    assert (tmp_path / "out" / "a.png").exists()


def test_resume_does_what_is_left_and_refuses_other_settings(tmp_path, model, capsys):
    photograph(tmp_path / "in" / "a.png", 1)
    words = ["restore", tmp_path / "in", "-o", tmp_path / "out", "--model", model, "--quiet"]
    assert gpen(*words) == 0
    photograph(tmp_path / "in" / "b.png", 2)
    assert gpen(*words, "--resume") == 0
    assert "1 picture, 2 faces, 1 done before" in capsys.readouterr().out
    assert gpen(*words, "--resume", "--strength", 0.3) == 1
    assert "options.blending.strength was 1.0, now 0.3" in capsys.readouterr().err


def test_a_page_to_look_at_is_written_beside_the_report(tmp_path, model, capsys):
    photograph(tmp_path / "in" / "a.png", 1)
    words = ["restore", tmp_path / "in", "-o", tmp_path / "out", "--model", model, "--quiet", "--page"]
    assert gpen(*words) == 0
    assert "page to look at" in capsys.readouterr().out
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<article") == 1
    assert page.count('class="face"') == 2


def test_detect_and_dry_run_draw_faces_and_restore_none(tmp_path, model):
    photograph(tmp_path / "in" / "a.png", 1)
    assert gpen("detect", tmp_path / "in", "-o", tmp_path / "found", "--threshold", 0.95, "--quiet") == 0
    rows = json.loads((tmp_path / "found" / "report.json").read_text())["pictures"]
    assert [round(face["score"], 2) for face in rows[0]["faces"]] == [0.99]
    assert (read_picture(tmp_path / "found" / "a.png").pixels[15, 20:50] == (255, 176, 0)).all()
    assert gpen("restore", tmp_path / "in", "-o", tmp_path / "dry", "--dry-run", "--threshold", 0.95, "--quiet") == 0
    np.testing.assert_array_equal(
        read_picture(tmp_path / "dry" / "a.png").pixels, read_picture(tmp_path / "found" / "a.png").pixels
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["none.png"], "no such file"),
        (["in", "--strength", "2"], "strength is 2.0"),
        (["in", "--background", "x"], "needs --upscale"),
        (["in", "film.mp4"], "film.mp4: no such file"),
        (["in", "--faces", "7"], "face 7 was asked for"),
        (["in", "--model", "no-such-model"], "no-such-model"),
    ],
)
def test_a_users_mistake_costs_one_line_and_a_status_of_one(tmp_path, model, capsys, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    photograph(tmp_path / "in" / "a.png", 1)
    given = words if "--model" in words else [*words, "--model", model]
    assert gpen("restore", *given, "-o", "out", "--quiet") == 1
    printed = capsys.readouterr()
    assert said in printed.err
    assert "Traceback" not in printed.err
    assert len(printed.err.strip().splitlines()) == 1


def test_the_input_is_not_written_over_unless_said(tmp_path, model, capsys):
    path = photograph(tmp_path / "in" / "a.png", 1)
    before = path.read_bytes()
    words = ["restore", tmp_path / "in", "-o", tmp_path / "in", "--model", model, "--quiet"]
    assert gpen(*words) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert path.read_bytes() == before
    assert gpen(*words, "--overwrite") == 0
    assert path.read_bytes() != before


def test_sixteen_bits_grey_and_alpha_go_through_the_whole_command(tmp_path, model):
    deep = np.random.default_rng(5).integers(0, 65536, (60, 80, 4), dtype=np.uint16)
    as_picture(deep).save(tmp_path / "in" / "deep.png")
    as_picture(deep[..., :1]).save(tmp_path / "in" / "grey.tif")
    assert gpen("restore", tmp_path / "in", "-o", tmp_path / "out", "--model", model, "--quiet") == 0
    result = read_picture(tmp_path / "out" / "deep.png")
    assert result.pixels.dtype == np.uint16
    np.testing.assert_array_equal(result.alpha, deep[..., 3])
    assert (result.pixels != deep[..., :3]).any()
    np.testing.assert_array_equal(result.pixels[55:], deep[55:, :, :3])
    grey = read_picture(tmp_path / "out" / "grey.tif")
    assert grey.pixels.dtype == np.uint16
    np.testing.assert_array_equal(grey.pixels[55:, :, 0], deep[55:, :, 0])


def test_an_option_needs_no_more_than_its_field_to_be_a_flag_with_help_and_a_row(tmp_path, model, capsys):
    photograph(tmp_path / "a.png", 1)
    assert gpen("restore", "--help") == 0
    assert "how much of the picture's own grain" in " ".join(capsys.readouterr().out.split())
    words = ["--model", model, "--quiet", "--grain"]
    assert gpen("restore", tmp_path / "a.png", "-o", tmp_path / "b.png", *words, 0.5) == 0
    row = json.loads((tmp_path / "b.report.json").read_text())["settings"]["options"]["blending"]
    assert row["grain"] == 0.5
    assert gpen("restore", tmp_path / "a.png", "-o", tmp_path / "b.png", *words, "nan") == 1
    assert "--grain is nan; expected a number from 0 to 1" in capsys.readouterr().err


def test_the_last_line_counts_pictures_without_a_face_and_says_what_might_find_one(tmp_path, model, capsys):
    photograph(tmp_path / "in" / "a.png", 1)
    for name in ("dark.png", "darker.png"):
        photograph(tmp_path / "in" / name, 1, bright=False)
    words = ["restore", tmp_path / "in", "-o", tmp_path / "out", "--model", model, "--quiet"]
    assert gpen(*words) == 0
    said = capsys.readouterr().out
    assert "3 pictures, 2 faces, 2 without a face (--rotations or --threshold 0.5 might find one);" in said
    assert gpen(*words, "--rotations", "--threshold", 0.3) == 0
    assert "2 without a face (another --detector might find one)" in capsys.readouterr().out
    assert gpen("restore", tmp_path / "in" / "a.png", "-o", tmp_path / "b.png", "--model", model, "--quiet") == 0
    assert "without a face" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--sharpn", "3"), "there is no option --sharpn; did you mean --sharpen?"),
        (("--keepgrey=1",), "there is no option --keepgrey; did you mean --keep-grey?"),
        (("--zzz",), "there is no option --zzz; `gpen restore --help` lists what there is"),
        (("--order", "sise"), "expected one of found, size, score, left, top; did you mean size?"),
        (("--strength", "x"), "argument --strength: invalid float value: 'x'"),
        (("--strength", "7"), "--strength is 7.0; expected a number from 0 to 1"),
    ],
)
def test_a_misspelt_option_gets_the_nearest_name_in_one_line(words, said, tmp_path, capsys):
    photograph(tmp_path / "a.png", 1)
    assert gpen("restore", tmp_path / "a.png", "-o", tmp_path / "b.png", *words) in (1, 2)
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1


def test_work_goes_on_when_nobody_reads_its_progress(tmp_path, model):
    photograph(tmp_path / "a.jpg", 1)
    reading, writing = os.pipe()
    os.close(reading)
    words = ["restore", str(tmp_path / "a.jpg"), "-o", str(tmp_path / "out"), "--model", str(model)]
    command = [sys.executable, "-m", "gpen_core.cli.main", *words]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(command, env=environment, stderr=writing, check=False)
    os.close(writing)
    assert done.returncode == 0
    assert (tmp_path / "out" / "a.jpg").exists()


def test_a_picture_whose_faces_are_all_left_alone_is_the_inputs_own_file(tmp_path, model):
    photograph(tmp_path / "a.jpg", 1)
    words = ["restore", tmp_path / "a.jpg", "-o", tmp_path / "b.jpg", "--model", model, "--quiet", "--strength", 0]
    assert gpen(*words) == 0
    assert (tmp_path / "b.jpg").read_bytes() == (tmp_path / "a.jpg").read_bytes()
    (row,) = json.loads((tmp_path / "b.report.json").read_text())["pictures"]
    assert (row["status"], row["reason"], len(row["faces"])) == ("copied", "no face was to be changed", 2)


def test_a_picture_that_fails_is_named_whatever_it_fails_at(tmp_path, model, capsys):
    photograph(tmp_path / "in" / "a.png", 1)
    Image.new("LAB", (16, 16)).save(tmp_path / "in" / "lab.tif")
    assert gpen("restore", tmp_path / "in", "-o", tmp_path / "out", "--model", model, "--faces", "7", "--quiet") == 1
    said = capsys.readouterr().err
    assert f"gpen: {tmp_path / 'in' / 'a.png'}: face 7 was asked for" in said
    assert f"gpen: {tmp_path / 'in' / 'lab.tif'}: the picture is in Pillow's mode LAB" in said
