"""The pack in a real ComfyUI: COMFYUI_ROOT=/path/to/ComfyUI COMFYUI_PYTHON=its-python pytest -m comfyui."""

from __future__ import annotations

import json
import time
import urllib.parse
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from comfyui_server import Server, defaults, in_the_engine
from pack_loader import ROOT
from PIL import Image
from real_graphs import example, graph, id_of, pixels_of, restore_graph

pytestmark = [pytest.mark.comfyui, pytest.mark.timeout(1800)]


def test_channels_stay_in_place_in_the_real_server(server: Server) -> None:
    portrait = Image.open(server.base / "input" / "portrait.png").convert("L")
    for k, name in enumerate(("red", "green", "blue")):
        empty = Image.new("L", portrait.size, 0)
        planes = [portrait if j == k else empty for j in range(3)]
        Image.merge("RGB", planes).save(server.base / "input" / f"{name}.png")
        nodes = graph("gpen_step_by_step")
        nodes[id_of(nodes, "LoadImage")]["inputs"]["image"] = f"{name}.png"
        nodes[id_of(nodes, "GPEN_DetectFaces")]["inputs"]["detection_threshold"] = 0.3
        crops = nodes["crops"] = {
            "class_type": "SaveImage",
            "inputs": {"images": [id_of(nodes, "GPEN_CropFaces"), 0], "filename_prefix": f"crops_{name}"},
        }
        assert crops
        outputs = server.run(nodes)
        means = pixels_of(server.saved(outputs, "crops")[0]).mean((0, 1))
        assert int(means.argmax()) == k
        assert float(means.sum() - means[k]) < 1


def test_an_upscaling_model_makes_the_rest_of_the_picture(server: Server) -> None:
    pytest.importorskip("spandrel", reason="needs spandrel to write an upscaling network")
    from spandrel.architectures.ESRGAN import ESRGAN

    torch.manual_seed(5)
    folder = server.base / "models" / "upscale_models"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(ESRGAN(in_nc=3, out_nc=3, num_filters=8, num_blocks=1, scale=2).state_dict(), folder / "twice.pth")
    nodes = restore_graph([])
    loader, restore = id_of(nodes, "LoadImage"), id_of(nodes, "GPEN_RestoreFaces")
    nodes["upscaler"] = {"class_type": "UpscaleModelLoader", "inputs": {"model_name": "twice.pth"}}
    nodes[restore]["inputs"]["upscale_model"] = ["upscaler", 0]
    nodes["core"] = {
        "class_type": "ImageUpscaleWithModel",
        "inputs": {"upscale_model": ["upscaler", 0], "image": [loader, 0]},
    }
    nodes["mask"] = {"class_type": "MaskToImage", "inputs": {"mask": [restore, 1]}}
    for key, source in (("core out", "core"), ("mask out", "mask"), ("ours out", restore)):
        inputs = {"images": [source, 0], "filename_prefix": f"upscaled_{source}"}
        nodes[key] = {"class_type": "SaveImage", "inputs": inputs}
    outputs = server.run(nodes)
    core, mask, ours = (pixels_of(server.saved(outputs, f"{key} out")[0]) for key in ("core", "mask", "ours"))
    inside = mask[..., 0] > 0
    assert ours.shape == core.shape == (2 * example().height, 2 * example().width, 3)
    assert inside.any()
    assert int(np.abs(ours - core)[~inside].max()) <= 1
    assert np.abs(ours - core)[inside].mean() > 1


def test_the_page_gets_help_names_and_templates(server: Server) -> None:
    assert server.fetch("/extensions/gpen-face.restore/docs/GPEN_RestoreFaces.md")[0] == 200
    names = server.get("/i18n")
    assert names["zh"]["nodeDefs"]["GPEN_RestoreFaces"]["display_name"] == "修复人脸 (GPEN)"
    templates = server.get("/workflow_templates")
    shipped = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
    assert sorted(templates["gpen-face.restore"]) == shipped
    for name in map(urllib.parse.quote, shipped):
        assert server.fetch(f"/api/workflow_templates/gpen-face.restore/{name}.json")[0] == 200
        assert server.fetch(f"/api/workflow_templates/gpen-face.restore/{name}.jpg")[0] == 200


def test_no_id_of_the_pack_is_anyone_elses(server: Server) -> None:
    for name, node in server.get("/object_info").items():
        assert name.startswith("GPEN_") == (node["python_module"] == "custom_nodes.gpen-face.restore"), name


def many_frames(nodes: dict[str, Any], count: int, size: int = 512) -> dict[str, Any]:
    """The graph on a batch of `count` equal frames of `size` px."""
    loader = id_of(nodes, "LoadImage")
    restore = nodes[id_of(nodes, "GPEN_RestoreFaces")]["inputs"]
    nodes["scaled"] = {
        "class_type": "ImageScale",
        "inputs": {"image": [loader, 0], "upscale_method": "area", "width": size, "height": size, "crop": "center"},
    }
    nodes["frames"] = {"class_type": "RepeatImageBatch", "inputs": {"image": ["scaled", 0], "amount": count}}
    restore["image"] = ["frames", 0]
    for key in [key for key, node in nodes.items() if node["class_type"] in ("SaveImage", "PreviewImage")]:
        del nodes[key]
    nodes["count"] = {"class_type": "PreviewAny", "inputs": {"source": [id_of(nodes, "GPEN_RestoreFaces"), 5]}}
    return nodes


def test_cancel_stops_in_the_middle_of_the_work_and_the_next_run_works(server: Server) -> None:
    server.run(many_frames(restore_graph([]), 1))  # the model is there
    began = time.monotonic()
    server.run(many_frames(restore_graph([], visibility=0.95), 64))
    whole = time.monotonic() - began
    run = server.queue(many_frames(restore_graph([], visibility=0.9), 64))
    time.sleep(whole / 4)
    began = time.monotonic()
    server.post("/interrupt", {})
    entry = server.wait(run)
    assert time.monotonic() - began < whole / 2
    assert "execution_interrupted" in [message[0] for message in entry["status"]["messages"]]
    assert server.run(many_frames(restore_graph([], visibility=0.85), 2))["count"]["text"] == ["2"]


def test_freeing_memory_lets_go_of_the_model_that_no_loader_gave(server: Server) -> None:
    def run(visibility: float) -> int:
        chosen = {**defaults(server, "GPEN_Restore"), "image": ["picture", 0], "visibility": visibility}
        server.run(
            {
                "picture": {"class_type": "LoadImage", "inputs": {"image": "portrait.png"}},
                "restored": {"class_type": "GPEN_Restore", "inputs": chosen},
                "shown": {"class_type": "PreviewImage", "inputs": {"images": ["restored", 0]}},
            }
        )
        return server.log().count("gpen-open computes in")

    first = run(1.0)
    assert run(0.9) == first
    server.post("/free", {"unload_models": True, "free_memory": True})
    run(0.8)  # may be quicker than what is to be freed
    assert run(0.7) == first + 1


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.slow
def test_memory_is_flat_over_ten_runs(server: Server) -> None:
    sizes = []
    for k in range(10):
        server.run(many_frames(restore_graph([], visibility=1 - k / 100), 16), seconds=900)
        sizes.append(resident_bytes(server.pid))
    print([round(size / 1e6) for size in sizes])
    assert sizes[-1] <= 1.05 * sizes[2]


def test_importing_the_pack_costs_less_than_half_a_second(server: Server) -> None:
    costs = [in_the_engine("import", server) for _ in range(3)]
    assert min(cost["seconds"] for cost in costs) < 0.5, costs
    assert all(cost["written"] == [] and cost["loaded"] == 0 for cost in costs)
    assert costs[0]["registry"] == ["gpen", "Apache-2.0", "OS Independent", "GPU :: NVIDIA CUDA"]


@pytest.mark.slow
def test_frames_cost_at_most_a_tenth_more_than_in_plain_python(server: Server) -> None:
    found = in_the_engine("frames", server, "64")
    print(found)
    assert found["faces"] == 64
    assert found["ratio"] <= 1.1


def test_a_saved_graph_names_what_is_missing(server: Server) -> None:
    nodes = restore_graph([])
    nodes[id_of(nodes, "GPEN_LoadModel")]["inputs"]["model"] = "gone.pth"
    answer = server.post("/prompt", {"prompt": nodes})
    said = json.dumps(answer["node_errors"], ensure_ascii=False)
    assert "model names gone.pth" in said
    assert "facerestore_models" in said
