"""Several models on the same faces."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_batches import SKIN
from small_models import small_model

from gpen_core.cli.main import main
from gpen_core.errors import InputError, WeightsError
from gpen_core.measures.comparing import contact_sheet, load_restorer, markdown, names_of, restore_folder
from gpen_core.measures.evaluation import Evaluation


@pytest.fixture
def faces(tmp_path):
    """Clean faces and damaged ones, 64 px."""
    random = np.random.default_rng(0)
    for folder, amount in (("clean", 0), ("damaged", 40)):
        (tmp_path / folder).mkdir()
        for index in range(3):
            smooth = np.kron(np.random.default_rng(index).integers(0, 256, (8, 8, 3)), np.ones((8, 8, 1)))
            levels = (smooth + random.integers(-amount, amount + 1, smooth.shape)).clip(0, 255)
            Image.fromarray(levels.astype(np.uint8)).save(tmp_path / folder / f"{index}.png")
    return tmp_path


def test_two_models_stand_on_one_table_one_sheet_and_one_page(faces, capsys):
    small_model().save_pretrained(faces / "small")
    model = str(faces / "small" / "model.safetensors")
    given = ["--inputs", str(faces / "damaged"), "--originals", str(faces / "clean"), "-o", str(faces / "out")]
    assert main(["compare", model, "gpen-open-256", *given, "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    assert "| input |" in shown
    assert "| model |" in shown
    assert "| gpen-open-256 |" in shown
    assert shown == (faces / "out" / "table.md").read_text()
    summary = json.loads((faces / "out" / "summary.json").read_text())
    assert set(summary["sides"]) == {"input", "model", "gpen-open-256"}
    with Image.open(faces / "out" / "sheet.jpg") as sheet:
        assert sheet.size == (4 * 192, 20 + 3 * 192)
    assert (faces / "out" / "index.html").read_text().count("<figure>") == 3


def test_an_onnx_file_restores_like_the_network_it_was_made_from(tmp_path):
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    helper = onnx.helper
    half = helper.make_tensor("half", onnx.TensorProto.FLOAT, [1], [0.5])
    graph = helper.make_graph(
        [helper.make_node("Mul", ["faces", "half"], ["restored"])],
        "halving",
        [helper.make_tensor_value_info("faces", onnx.TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("restored", onnx.TensorProto.FLOAT, [1, 3, 32, 32])],
        [half],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "half.onnx")
    faces = (
        torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
        * torch.from_numpy(SKIN).float()[:, None, None]
    )
    restored = load_restorer(str(tmp_path / "half.onnx"))(faces)
    torch.testing.assert_close(restored, ((faces * 2 - 1) / 2 + 1) / 2)
    with pytest.raises(WeightsError, match="there is no file"):
        load_restorer(str(tmp_path / "other.onnx"))


def test_a_network_that_restores_no_faces_is_named(tmp_path):
    torch.save({"conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"is no GPEN network"):
        load_restorer(str(tmp_path / "other.pth"), device="cpu", trust_pickle=True)


def test_faces_of_several_sizes_are_restored_each_at_its_own_and_others_are_refused(tmp_path):
    (tmp_path / "in").mkdir()
    for name, size in (("a", (16, 16)), ("b", (24, 24))):
        Image.new("RGB", size, "red").save(tmp_path / "in" / f"{name}.png")
    done = []
    restore_folder(lambda x: 1 - x, tmp_path / "in", tmp_path / "out", done=lambda *n: done.append(n))
    assert done == [(2, 2)]
    with Image.open(tmp_path / "out" / "b.png") as picture:
        assert picture.size == (24, 24)
        assert picture.getpixel((3, 3)) == (0, 255, 255)
    Image.new("RGB", (16, 20), "red").save(tmp_path / "in" / "c.png")
    with pytest.raises(InputError, match="16×20 px; aligned faces are square"):
        restore_folder(lambda x: x, tmp_path / "in", tmp_path / "out")


def test_a_stopped_comparison_goes_on_and_what_changed_is_made_anew(faces):
    asked = []

    def restorer(x):
        asked.append(len(x))
        return 1 - x

    out = faces / "out"
    restore_folder(restorer, faces / "damaged", out, made_by="a")
    before = {path.name: path.read_bytes() for path in out.glob("*.png")}
    (out / "0.png").write_bytes(b"cut")
    (out / "made.jsonl").write_text((out / "made.jsonl").read_text()[:-20])
    restore_folder(restorer, faces / "damaged", out, made_by="a")
    assert {path.name: path.read_bytes() for path in out.glob("*.png")} == before
    restore_folder(restorer, faces / "damaged", out, made_by="b")
    restore_folder(restorer, faces / "damaged", out, made_by="b")
    assert asked == [3, 2, 3]


def test_a_comparison_whose_results_all_stand_loads_no_model(faces, monkeypatch):
    small_model().save_pretrained(faces / "small")
    model = str(faces / "small" / "model.safetensors")
    given = ["--inputs", str(faces / "damaged"), "--originals", str(faces / "clean"), "-o", str(faces / "out")]
    assert main(["compare", model, *given, "--device", "cpu"]) == 0
    table = (faces / "out" / "table.md").read_text()
    monkeypatch.setattr("gpen_core.measures.comparing.load_model", lambda *_, **__: pytest.fail("a model was loaded"))
    assert main(["compare", model, *given, "--device", "cpu"]) == 0
    assert (faces / "out" / "table.md").read_text() == table


def test_what_gpen_degrade_wrote_is_told_to_be_given_by_its_folders(faces, capsys):
    assert main(["degrade", str(faces / "clean"), "-o", str(faces / "made"), "--size", "64", "--count", "1"]) == 0
    words = [
        "compare",
        "gpen-open-256",
        "--inputs",
        faces / "made",
        "--originals",
        faces / "clean",
        "-o",
        faces / "out",
    ]
    assert main([str(word) for word in words]) == 1
    said = capsys.readouterr().err
    assert f"give one: {faces}/made/balanced, {faces}/made/clean" in said
    assert said.count("\n") == 1


def test_models_of_one_name_are_refused():
    assert names_of(["a/x.pth", "owner/repo"]) == {"x": "a/x.pth", "owner-repo": "owner/repo"}
    with pytest.raises(InputError, match=r"a/x.pth and b/x.onnx would both be called x"):
        names_of(["a/x.pth", "b/x.onnx"])


def test_the_best_model_is_bold_and_the_input_never(tmp_path):
    sides = {
        "input": Evaluation(pictures={"0": {"psnr": 30.0, "perceptual": 0.1}}),
        "one": Evaluation(pictures={"0": {"psnr": 27.0, "perceptual": 0.3}}),
        "two": Evaluation(pictures={"0": {"psnr": 26.0, "perceptual": 0.2}}),
    }
    table = markdown(sides).splitlines()
    assert table[0] == "| | psnr ↑ | perceptual ↓ |"
    assert table[2:] == ["| input | 30.000 | 0.100 |", "| one | **27.000** | 0.300 |", "| two | 26.000 | **0.200** |"]


def test_a_sheet_leaves_room_where_a_result_is_missing(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (8, 8), "red").save(tmp_path / "one" / "a.png")
    Image.new("RGB", (8, 8), "red").save(tmp_path / "two" / "b.png")
    contact_sheet(tmp_path / "s.png", {n: tmp_path / n for n in ("one", "two")}, ["a", "b"], side=16)
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.getpixel((8, 28)) == (255, 0, 0)
        assert sheet.getpixel((24, 28)) == (255, 255, 255)


def test_the_page_of_models_names_the_measures_and_protocols_that_there_are():
    scripts = Path(__file__).parents[1] / "docs" / "scripts"
    specification = importlib.util.spec_from_file_location("write_models", scripts / "write_models.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    page = module.PAGE.read_text(encoding="utf-8")
    assert module.measures() in page
    assert "| gpen-open |" in page
