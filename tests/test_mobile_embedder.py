"""The small recognition network: its padding, its files, and what takes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from test_projected import make_faces, recipe, source
from torch import Tensor

from gpen_core.cli.main import main
from gpen_core.errors import WeightsError
from gpen_core.measures.embedders import embed_aligned, read_embedder
from gpen_core.measures.mobile_embedder import MobileEmbedder
from gpen_core.trainer.embedders import identity_loss
from gpen_core.trainer.run import extra_losses
from gpen_core.trainer.sources import Sources
from gpen_core.weights.tensors import save_tensors
from training.embedder import converted, read_graph


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TensorFlow.js graph of random weights, half of them in 16 bits, in two files."""
    folder, network = tmp_path_factory.mktemp("graph"), MobileEmbedder()
    draw = np.random.default_rng(0)
    entries: list[tuple[str, np.ndarray]] = []

    def add(name: str, shape: tuple[int, ...], scale: float) -> None:
        entries.append((name, (draw.standard_normal(shape) * scale).astype(np.float32)))

    add("conv1/convolution/merged_input", (3, 3, 3, 32), 0.01)
    add("conv1_bn/batchnorm_1/sub", (32,), 0.1)
    for index, (depthwise, pointwise) in enumerate(zip(network.depthwise, network.pointwise, strict=True), 1):
        before, after = depthwise.in_channels, pointwise.out_channels
        add(f"conv_dw_{index}/depthwise_kernel", (3, 3, before, 1), 0.5)
        add(f"conv_dw_{index}_bn/batchnorm_1/mul", (before,), 1.0)
        add(f"conv_dw_{index}_bn/batchnorm_1/sub", (before,), 0.1)
        add(f"conv_pw_{index}/convolution/merged_input", (1, 1, before, after), 1.7 * before**-0.5)
        add(f"conv_pw_{index}_bn/batchnorm_1/sub", (after,), 0.1)
    data, rows = b"", []
    for index, (name, values) in enumerate(entries):
        row: dict[str, object] = {"name": name, "shape": list(values.shape), "dtype": "float32"}
        if index % 2:
            row["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
            values = values.astype(np.float16)
        data, rows = data + values.tobytes(), [*rows, row]
    (folder / "a.bin").write_bytes(data[:1001])
    (folder / "b.bin").write_bytes(data[1001:])
    manifest = [{"paths": ["a.bin", "b.bin"], "weights": rows}]
    (folder / "net.json").write_text(json.dumps({"weightsManifest": manifest}), encoding="utf-8")
    return folder / "net.json"


@pytest.fixture(scope="module")
def file(graph: Path) -> Path:
    """The same as safetensors."""
    path = graph.parent / "net.safetensors"
    save_tensors(path, converted(read_graph(graph)), {})
    return path


def blocks(count: int, size: int, seed: int = 0) -> Tensor:
    """(count, 3, size, size) in [-1, 1]: patches that a network's mean over places does not make alike."""
    coarse = torch.rand(count, 3, 4, 4, generator=source(seed)) * 2 - 1
    return F.interpolate(coarse, (size, size), mode="nearest")


def by_the_book(graph: dict[str, Tensor], faces: Tensor) -> Tensor:
    """TensorFlow's sums over windows, each placed by its rule that a result covers ceil(n / stride) places."""

    def windows(x: Tensor, stride: int) -> Tensor:
        size = x.shape[-1]
        total = max((-(-size // stride) - 1) * stride + 3 - size, 0)
        before = total // 2
        padded = F.pad(x, (before, total - before, before, total - before))
        return padded.unfold(2, 3, stride).unfold(3, 3, stride)

    x = (faces.flip(1) + 1) / 2 * 255 - torch.tensor([103.939, 116.779, 123.68])[:, None, None]
    x = torch.einsum("bchwij,ijco->bohw", windows(x, 2), graph["conv1/convolution/merged_input"])
    x = F.relu6(x + graph["conv1_bn/batchnorm_1/sub"][:, None, None])
    for index in range(1, 14):
        stride = 2 if index in (2, 4, 6, 12) else 1
        x = torch.einsum("bchwij,ijc->bchw", windows(x, stride), graph[f"conv_dw_{index}/depthwise_kernel"][..., 0])
        x = x * graph[f"conv_dw_{index}_bn/batchnorm_1/mul"][:, None, None]
        x = F.relu6(x + graph[f"conv_dw_{index}_bn/batchnorm_1/sub"][:, None, None])
        x = torch.einsum("bchw,co->bohw", x, graph[f"conv_pw_{index}/convolution/merged_input"][0, 0])
        x = F.relu6(x + graph[f"conv_pw_{index}_bn/batchnorm_1/sub"][:, None, None])
    return F.normalize(x.mean((2, 3)), dim=1)


def test_the_converted_network_gives_what_the_graph_says(graph: Path, file: Path) -> None:
    faces = blocks(2, 224)
    with torch.no_grad():
        torch.testing.assert_close(read_embedder(file)(faces), by_the_book(read_graph(graph), faces), atol=1e-5, rtol=0)


def test_it_takes_faces_as_arcface_wants_them_each_by_itself(file: Path) -> None:
    network, faces = read_embedder(file), blocks(3, 112)
    found = network(faces)
    torch.testing.assert_close(found[1:2], network(faces[1:2]), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    assert float((found[0] - found[1]).norm()) > 0.01
    aligned = torch.rand(1, 3, 256, 256, generator=source())
    assert embed_aligned(file)(aligned).shape == (1, 1024)


def test_its_loss_is_nothing_for_a_face_itself_and_tells_what_to_change(file: Path) -> None:
    loss, face = identity_loss(file, torch.device("cpu")), blocks(1, 256)
    assert float(loss(face, face)) == pytest.approx(0, abs=1e-6)
    other = blocks(1, 256, seed=1).requires_grad_(True)
    found = loss(other, face)
    (gradient,) = torch.autograd.grad(found, other)
    assert float(found.detach()) > 1e-3
    assert float(gradient[..., 60:200, 60:200].abs().sum()) > 0
    assert float(gradient[..., :30, :].abs().sum()) == 0


def test_a_recipe_gives_it_a_share_and_evaluate_judges_by_it(file: Path, tmp_path: Path, capsys) -> None:
    made = recipe(losses={"identity": 1.0, "identity_share": 3.0, "r1": 0.0, "path_length": 0.0})
    assert made.losses.shares["identity"] == 3.0
    assert set(extra_losses(made, Sources(identity=file), torch.device("cpu"))) == {"identity"}
    make_faces(tmp_path / "faces")
    folder = str(tmp_path / "faces")
    assert main(["evaluate", folder, folder, "--identity", str(file)]) == 0
    assert "identity" in capsys.readouterr().out


def test_other_files_are_refused_in_one_line(file: Path, graph: Path, tmp_path: Path, capsys) -> None:
    short = {k: v for k, v in converted(read_graph(graph)).items() if k != "pointwise.12.bias"}
    save_tensors(tmp_path / "short.safetensors", short, {})
    with pytest.raises(WeightsError, match=r"a mobile embedder.*pointwise\.12\.bias"):
        read_embedder(tmp_path / "short.safetensors")
    with pytest.raises(WeightsError, match=r"no 'conv_dw_1_bn/batchnorm_1/mul'.*faceres\.json"):
        converted({k: v for k, v in read_graph(graph).items() if not k.endswith("mul")})
    (graph.parent / "b.bin").write_bytes((graph.parent / "b.bin").read_bytes()[:-8])
    with pytest.raises(WeightsError, match="its file ends before it"):
        read_graph(graph)
    assert main(["info", str(file)]) == 1
    assert "is a MobileNet that recognises faces" in capsys.readouterr().err
