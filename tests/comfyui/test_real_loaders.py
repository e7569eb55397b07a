"""GPEN files in ComfyUI's own loader, and models of other kinds in the nodes, in a real ComfyUI."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from comfyui_server import Server, defaults
from other_restorers import CALLS, SLOW, made
from real_graphs import example, id_of, pixels_of, read, restore_graph
from safetensors.torch import save_file

from gpen_core import FaceRestorer, load_model
from gpen_core.formats.export import to_onnx
from gpen_core.weights import zoo

pytestmark = [
    pytest.mark.comfyui,
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore:.*torch.jit.script.*"),
]


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_the_cores_upscale_model_loader_reads_and_runs_a_gpen_file(suffix: str, server: Server) -> None:
    model = load_model(zoo.DEFAULT_MODEL, device="cpu", prepare=False)
    folder = server.base / "models" / "upscale_models"
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    # As it ships, and as the official files are: a bare state dict.
    (torch.save if suffix == "pth" else save_file)(state, folder / f"gpen.{suffix}")
    size = model.config.in_size
    example().resize((size, size)).save(server.base / "input" / "face.png")
    outputs = server.run(
        {
            "image": {"class_type": "LoadImage", "inputs": {"image": "face.png"}},
            "model": {"class_type": "UpscaleModelLoader", "inputs": {"model_name": f"gpen.{suffix}"}},
            "run": {
                "class_type": "ImageUpscaleWithModel",
                "inputs": {"upscale_model": ["model", 0], "image": ["image", 0]},
            },
            "saved": {"class_type": "SaveImage", "inputs": {"images": ["run", 0], "filename_prefix": f"core_{suffix}"}},
        }
    )
    face = torch.from_numpy(read(server.base / "input" / "face.png")).movedim(-1, 0)[None]
    with torch.no_grad():
        expected = ((model(face * 2 - 1) + 1) / 2).clamp(0, 1)[0].movedim(0, -1).numpy() * 255
    assert np.abs(pixels_of(server.saved(outputs, "saved")[0]) - expected).max() <= 1


def restored(server: Server, model: str) -> tuple[np.ndarray, np.ndarray]:
    """The straightened faces before and after Restore Faces with this file, (S, S, 3) in levels."""
    nodes = restore_graph([])
    nodes[id_of(nodes, "GPEN_LoadModel")]["inputs"] |= {"model": model, "precision": "auto", "parser": "none"}
    restore = id_of(nodes, "GPEN_RestoreFaces")
    for key, slot in (("before", 2), ("after", 3)):
        inputs = {"images": [restore, slot], "filename_prefix": f"{key}_{model}"}
        nodes[key] = {"class_type": "SaveImage", "inputs": inputs}
    outputs = server.run(nodes, seconds=900)
    before, after = (pixels_of(server.saved(outputs, key)[0]) for key in ("before", "after"))
    return before, after


def test_an_onnx_file_among_the_other_packs_models_restores_as_the_model_does(server: Server) -> None:
    model = load_model(zoo.DEFAULT_MODEL, device="cpu", prepare=False)
    to_onnx(model, server.base / "models" / "facerestore_models" / "ours.onnx", {})
    known = server.get("/object_info/GPEN_LoadModel")["GPEN_LoadModel"]["input"]["required"]["model"][1]["options"]
    assert "ours.onnx" in known
    before, after = restored(server, "ours.onnx")
    face = torch.from_numpy(before.astype(np.float32)).movedim(-1, 0)[None] / 255
    # By the road's own step: a face as closely cut as this may be shown to the network in more contrast.
    expected = FaceRestorer(model).run(face)[0].movedim(0, -1).numpy() * 255
    assert before.shape == after.shape
    assert np.abs(after - expected).mean() <= 1  # the face that the network saw was not rounded


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=pytest.mark.slow if kind in SLOW else ()) for kind in CALLS])
def test_another_restorers_file_gives_what_its_network_gives_by_hand(kind: str, server: Server) -> None:
    network = made(kind)
    path = server.base / "models" / "facerestore_models" / f"{kind}.pth"
    torch.save({"params_ema": network.state_dict()}, path)
    example().resize((512, 512)).save(server.base / "input" / "crop.png")
    loader = {"model": path.name, "precision": "auto", "detector": "auto", "parser": "none"}
    run = {**defaults(server, "GPEN_RestoreCrops"), "crops": ["image", 0]}
    outputs = server.run(
        {
            "image": {"class_type": "LoadImage", "inputs": {"image": "crop.png"}},
            "model": {"class_type": "GPEN_LoadModel", "inputs": {**loader, "task": "auto", "repository": ""}},
            "run": {"class_type": "GPEN_RestoreCrops", "inputs": {**run, "gpen_model": ["model", 0]}},
            "saved": {"class_type": "SaveImage", "inputs": {"images": ["run", 0], "filename_prefix": f"by_{kind}"}},
        },
        seconds=900,
    )
    face = torch.from_numpy(read(server.base / "input" / "crop.png")).movedim(-1, 0)[None] * 2 - 1
    with torch.no_grad():
        expected = ((CALLS[kind][1](network, face) + 1) / 2).clamp(0, 1)[0].movedim(0, -1).numpy() * 255
    assert np.abs(pixels_of(server.saved(outputs, "saved")[0]) - expected).max() <= 2
