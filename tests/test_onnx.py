"""Models in ONNX files: out with a certificate, in through ONNX Runtime, and back into weights."""

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small_models import CARD, small_model

from gpen_core import GPEN, FaceRestorer, GPENConfig, RestoreOptions, load_model
from gpen_core.cli.main import main
from gpen_core.errors import ConfigError, DeviceError, InputError, WeightsError
from gpen_core.faces.types import Detection
from gpen_core.formats import onnx_model
from gpen_core.formats.export import INPUT, OPSET, OUTPUT
from gpen_core.formats.onnx_weights import read_onnx
from gpen_core.weights import checkpoint, zoo

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

pytestmark = pytest.mark.filterwarnings("ignore")  # the exporter's own, about its parts

TINY = {"narrow": 1 / 128, "style_dim": 8, "n_mlp": 1}
CONFIGS = {
    "concatenated": GPENConfig.standard(8, **TINY),
    "added": GPENConfig.standard(8, concat=False, **TINY),
    "enlarging": GPENConfig.standard(8, out_size=16, **TINY),
    "stylegan": GPENConfig.standard(8, prior="stylegan", concat=False, **TINY),
    "pggan": GPENConfig.standard(16, prior="pggan", narrow=1 / 64, style_dim=8),
    "biggan": GPENConfig.standard(16, prior="biggan", narrow=1 / 64, style_dim=9),
}
#: One of each kind of file is enough for every run.
SLOW = {*CONFIGS} - {"concatenated", "enlarging"}


def trained(config: GPENConfig) -> GPEN:
    """A network none of whose parameters equals another, as after training."""
    model, source = small_model(config), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=source) * 0.1)
    return model


def faces(count: int, size: int = 8) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def plain(model: GPEN, given: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model(given)
    return result


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in CONFIGS],
)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[GPEN, Path]:
    """A model and its export by the command."""
    folder = tmp_path_factory.mktemp("onnx")
    model = trained(CONFIGS[request.param])
    checkpoint.write(folder / "m.safetensors", model.state_dict(), model.config, CARD)
    assert main(["export", str(folder / "m.safetensors"), "--to", "onnx", "-o", str(folder / "m.onnx")]) == 0
    return model, folder / "m.onnx"


def test_an_export_takes_any_batch_and_gives_what_the_model_gives(exported: tuple[GPEN, Path]) -> None:
    model, path = exported
    session = onnx_model.open_session(path, ["cpu"])
    for count in (1, 5):
        given = faces(count, model.config.in_size)
        (found,) = session.run([OUTPUT], {INPUT: given.numpy()})
        np.testing.assert_allclose(found, plain(model, given), atol=1e-4)


def test_an_export_says_what_it_is_and_has_its_certificate_beside_it(exported: tuple[GPEN, Path]) -> None:
    _, path = exported
    certificate = json.loads(path.with_name("m.onnx.json").read_text())
    assert certificate["holds"]
    assert certificate["opset"] == OPSET == onnx.load(path).opset_import[0].version
    assert {row["form"] for row in certificate["deviations"]} == {"onnx CPU"}
    assert max(row["largest"] for row in certificate["deviations"]) <= 1e-4
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert json.loads(metadata["gpen.card"])["licence"] == CARD.licence
    assert metadata["gpen.sha256"] == certificate["tensors_sha256"]
    assert str(Path(__file__).parents[1]).encode() not in path.read_bytes()


def test_converting_an_export_gives_the_weights_bit_by_bit(exported: tuple[GPEN, Path], tmp_path: Path) -> None:
    model, path = exported
    assert main(["convert", str(path), str(tmp_path / "back.safetensors")]) == 0
    found = checkpoint.read(tmp_path / "back.safetensors")
    assert found.config == model.config
    assert found.card.name == CARD.name
    assert all(torch.equal(found.state_dict()[name], tensor) for name, tensor in model.state_dict().items())


def test_an_onnx_file_is_a_model_like_any_other(exported: tuple[GPEN, Path]) -> None:
    model, path = exported
    loaded: Any = load_model(path)
    assert (loaded.config, loaded.card.name, loaded.file) == (model.config, CARD.name, path)
    assert loaded.form == load_model(path, device="cpu").form == "onnx CPU"
    size = model.config.in_size
    given = faces(5, size)
    together = loaded(given)
    torch.testing.assert_close(together, plain(model, given), rtol=0, atol=1e-4)
    assert torch.equal(together[3:4], loaded(given[3:4]))
    with pytest.raises(InputError, match=rf"float faces \(B, 3, {size}, {size}\)"):
        loaded(faces(1, 2 * size))
    assert torch.equal(
        load_model(path, prepare=False, device="cpu").state_dict()["final_linear.0.weight"],
        model.state_dict()["final_linear.0.weight"],
    )


def find(pictures: torch.Tensor) -> list[list[Detection]]:
    points = torch.tensor([[20.0, 24], [44, 24], [32, 36], [24, 46], [40, 46]])
    return [[Detection(box=torch.tensor([8.0, 8, 56, 56]), landmarks=points, score=0.99)] for _ in pictures]


def test_a_photograph_is_restored_alike_by_a_model_and_its_export(exported: tuple[GPEN, Path], tmp_path: Path) -> None:
    model, path = exported
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    results = [FaceRestorer(m, find).restore(picture, RestoreOptions()).picture for m in (model, load_model(path))]
    assert np.abs(results[0].astype(int) - results[1]).max() <= 1
    assert (results[0] != picture).any()


def test_the_report_names_what_computed(exported: tuple[GPEN, Path], tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "face.png")
    words = ["restore", tmp_path / "face.png", "-o", tmp_path / "out", "--model", exported[1], "--aligned"]
    assert main([str(word) for word in [*words, "--provider", "cpu"]]) == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text())["settings"]["form"] == "onnx CPU"


def plainly_exported(model: GPEN, path: Path) -> Path:
    """By torch's older exporter, which folds weights into nameless ones, as in the files that are passed around."""

    class Restorer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.g = model

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.g(x)
            return result

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Restorer(), (faces(1),), str(path), dynamo=False, opset_version=17)
    return path


@pytest.mark.parametrize("kind", ["concatenated", "added"])
def test_weights_that_another_exporter_folded_are_told_by_shape_and_order(kind: str, tmp_path: Path) -> None:
    model = trained(CONFIGS[kind])
    path = plainly_exported(model, tmp_path / "other.onnx")
    assert not any(key.startswith("gpen") for key in read_onnx(path)[1])
    found = GPEN.from_pretrained(path, task="restoration")
    assert found.config == model.config
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], tensor, rtol=1e-6, atol=1e-6)


def test_weights_that_give_another_result_than_the_file_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = plainly_exported(trained(CONFIGS["concatenated"]), tmp_path / "other.onnx")
    model = onnx.load(path)
    for initializer in model.graph.initializer:
        values = onnx.numpy_helper.to_array(initializer)
        if values.shape[-2:] == (4, 4) and values.ndim != 4:  # another blur, which no shape tells
            initializer.CopyFrom(onnx.numpy_helper.from_array(np.ascontiguousarray(values * 1.5), initializer.name))
    onnx.save(model, path)
    with pytest.raises(WeightsError, match="do not give what the file itself gives"):
        GPEN.from_pretrained(path, task="restoration")


def test_a_file_of_another_program_is_posed_by_its_size_or_as_asked(tmp_path: Path) -> None:
    path = plainly_exported(trained(CONFIGS["concatenated"]), tmp_path / "other.onnx")
    with pytest.warns(UserWarning, match="taken for arcface"):
        assert load_model(path).card.template == "arcface"


def test_the_zoo_knows_the_onnx_files_that_are_passed_around() -> None:
    small, usual = zoo.find("GPEN-BFR-256-onnx"), zoo.find("GPEN-BFR-512.onnx")
    assert small.card is not None
    assert usual.card is not None
    assert (small.card.template, usual.card.template) == ("arcface", "ffhq")
    assert zoo.with_hash(usual.sha256 or "") is usual


def test_half_precision_that_is_not_close_enough_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gpen_core.weights import verify

    model = trained(CONFIGS["concatenated"])
    checkpoint.write(tmp_path / "m.safetensors", model.state_dict(), model.config, CARD)
    words = ["export", str(tmp_path / "m.safetensors"), "-o", str(tmp_path / "h.onnx"), "--half"]
    with monkeypatch.context() as patch:
        patch.setattr(verify, "FAITHFUL_DB", 1000.0)
        assert main(words) == 1
    assert "leave out --half" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


@pytest.mark.slow
def test_half_precision_takes_half_the_room(tmp_path: Path) -> None:
    model = trained(GPENConfig.standard(8, narrow=1 / 16, style_dim=64, n_mlp=2))
    checkpoint.write(tmp_path / "m.safetensors", model.state_dict(), model.config, CARD)
    for name, extra in (("f.onnx", []), ("h.onnx", ["--half"])):
        assert main(["export", str(tmp_path / "m.safetensors"), "-o", str(tmp_path / name), *extra]) == 0
    assert (tmp_path / "h.onnx").stat().st_size < 0.7 * (tmp_path / "f.onnx").stat().st_size


def graph(inputs: list[tuple[str, Any, list[Any]]], *, gives: list[Any], opset: int = 17, ir: int = 9) -> Any:
    """A file that hands its first input on."""
    helper = onnx.helper
    takes = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs]
    out = helper.make_tensor_value_info("y", inputs[0][1], gives)
    node = helper.make_node("Identity", [inputs[0][0]], ["y"])
    made = helper.make_model(
        helper.make_graph([node], "g", takes, [out]), opset_imports=[helper.make_opsetid("", opset)]
    )
    made.ir_version = ir
    return made


FLOAT, BYTE = 1, 2
BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "any size": (lambda: graph([("x", FLOAT, [1, 3, "h", "w"])], gives=[1, 3, "h", "w"]), "pictures of any size"),
    "a detector": (lambda: graph([("x", FLOAT, [1, 3, 64, 64])], gives=[1, 100, 4]), "a detector or another network"),
    "a swapper": (
        lambda: graph([("target", FLOAT, [1, 3, 64, 64]), ("source", FLOAT, [1, 512])], gives=[1, 3, 64, 64]),
        "has 2 inputs",
    ),
    "bytes": (lambda: graph([("x", BYTE, [1, 3, 64, 64])], gives=[1, 3, 64, 64]), "not float pictures"),
    "grey": (lambda: graph([("x", FLOAT, [1, 1, 64, 64])], gives=[1, 1, 64, 64]), "no face restorer"),
    "not square": (lambda: graph([("x", FLOAT, [1, 3, 64, 32])], gives=[1, 3, 64, 32]), "square pictures"),
    "too new an opset": (lambda: graph([("x", FLOAT, [1, 3, 8, 8])], gives=[1, 3, 8, 8], opset=999), "upgrade"),
    "too new a file": (lambda: graph([("x", FLOAT, [1, 3, 8, 8])], gives=[1, 3, 8, 8], ir=99), "upgrade"),
}


@pytest.mark.parametrize("kind", BAD)
def test_an_onnx_file_that_is_no_restorer_is_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    make, expected = BAD[kind]
    path = tmp_path / "x.onnx"
    path.write_bytes(make().SerializeToString())
    with pytest.raises(WeightsError) as caught:
        load_model(path)
    assert expected in str(caught.value)
    assert len(str(caught.value)) < 600
    with pytest.raises(WeightsError):
        GPEN.from_pretrained(path)


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x08\x07", b"<!doctype html>", b"\xff" * 1000])
def test_what_is_no_onnx_file_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    for prepare in (True, False):
        with pytest.raises(WeightsError) as caught:
            load_model(path, prepare=prepare)  # type: ignore[call-overload]
        assert len(str(caught.value)) < 600


def test_weights_beside_the_file_that_are_missing_are_said_so(tmp_path: Path) -> None:
    path = plainly_exported(trained(CONFIGS["concatenated"]), tmp_path / "x.onnx")
    onnx.save_model(onnx.load(path), str(path), save_as_external_data=True, location="x.data", size_threshold=0)
    assert load_model(path).config.in_size == 8
    (tmp_path / "x.data").unlink()
    with pytest.raises(WeightsError, match="beside it"):
        load_model(path)
    with pytest.raises(WeightsError, match="beside it"):
        GPEN.from_pretrained(path)


def test_a_quantized_file_keeps_no_weights(tmp_path: Path) -> None:
    from onnxruntime.quantization import quantize_dynamic

    path = plainly_exported(trained(CONFIGS["concatenated"]), tmp_path / "x.onnx")
    quantize_dynamic(path, tmp_path / "q.onnx")
    with pytest.raises(WeightsError, match="quantized"):
        GPEN.from_pretrained(tmp_path / "q.onnx")


def test_a_provider_that_is_not_there_is_refused_and_so_is_a_precision(exported: tuple[GPEN, Path]) -> None:
    with pytest.raises(DeviceError, match=r"no TensorrtExecutionProvider here; it has cpu"):
        load_model(exported[1], providers=["tensorrt"])
    with pytest.raises(InputError, match="leave precision at auto"):
        load_model(exported[1], precision="bf16")
    with pytest.raises((DeviceError, ConfigError)):
        load_model(exported[1], device="cuda")


def test_an_option_of_another_kind_of_model_is_refused(exported: tuple[GPEN, Path], tmp_path: Path) -> None:
    model, onnx = exported
    own = model.save_pretrained(tmp_path) / "model.safetensors"
    with pytest.raises(InputError, match=r"fidelity is CodeFormer's; .*\.onnx is an ONNX file, leave it out$"):
        load_model(onnx, fidelity=0.2)
    for path, prepare in ((own, True), (onnx, False)):
        with pytest.raises(InputError, match=r"providers are ONNX Runtime's; .* is not run by it, leave them out"):
            load_model(path, providers=("cpu",), prepare=prepare)  # type: ignore[call-overload]
    for source in (own, own.parent, onnx, "gpen-open-256"):
        with pytest.raises(InputError, match=r"revision v2 is of a repository on the Hub, and .*; leave it out$"):
            load_model(source, revision="v2")


def test_without_the_extra_a_file_names_it_and_nothing_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['onnxruntime'] = None; sys.modules['onnx'] = None\n"
        "from gpen_core import load_model\n"
        f"try:\n    load_model({str(tmp_path / 'x.onnx')!r})\nexcept ImportError as error:\n    print(error)\n"
    )
    (tmp_path / "x.onnx").write_bytes(b"something")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "install gpen[onnx]" in done.stdout
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import gpen_core.weights.load, sys; print('onnx' in sys.modules, 'onnxruntime' in sys.modules)",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.slow
def test_a_package_for_servers_gives_what_the_model_gives(tmp_path: Path) -> None:
    model = trained(CONFIGS["concatenated"])
    checkpoint.write(tmp_path / "m.safetensors", model.state_dict(), model.config, CARD)
    assert main(["export", str(tmp_path / "m.safetensors"), "--to", "aoti", "-o", str(tmp_path / "m.pt2")]) == 0
    certificate = json.loads((tmp_path / "m.pt2.json").read_text())
    assert certificate["deviations"][0]["largest"] <= 1e-4
