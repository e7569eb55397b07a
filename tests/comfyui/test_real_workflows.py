"""Graphs saved with earlier versions beside the Python API, and the shipped workflows at the first click, in a real
ComfyUI; see test_real_comfyui.py.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from comfyui_server import Server
from PIL import Image
from real_graphs import COLOUR, INPAINT, NAMES, frames_of, graph, id_of, pixels_of, read

from gpen_core import FaceRestorer, load_model
from gpen_core.options import Blending, RestoreOptions, Selection
from gpen_core.tasks import colorize, inpaint
from gpen_core.video import Smoothing, restore_frames
from gpen_core.weights import load_detector

pytestmark = [pytest.mark.comfyui, pytest.mark.timeout(1800)]


SHIPPED = sorted((Path(__file__).parent / "workflows").glob("*.json"))
#: They fetch a model, or need the weights of an image maker.
WITH_A_CHECKPOINT = ("5 ", "6 ", "7 ")


@pytest.mark.parametrize("path", [p for p in SHIPPED if not p.name.startswith(WITH_A_CHECKPOINT)], ids=lambda p: p.stem)
def test_a_shipped_workflow_runs_at_the_first_click_and_changes_the_faces(path: Path, server: Server) -> None:
    nodes = json.loads(path.read_text(encoding="utf-8"))
    outputs = server.run(nodes, seconds=900)
    shown = outputs[id_of(nodes, "ImageCompare")]
    before, after = (server.picture(shown[side][0]) for side in ("a_images", "b_images"))
    assert before.shape == after.shape
    assert np.abs(before.astype(float) - after).max() > 10


def expected_by_python(name: str, server: Server, nodes: dict[str, Any]) -> np.ndarray | None:
    """What the Python API makes of the workflow's picture; None where the graph does more than one call."""
    device = {"device": "cpu", "precision": "fp32"}
    detector = load_detector(device="cpu")
    source = server.base / "input"
    models = server.base / "models" / "facerestore_models"
    if name in ("gpen_portrait", "gpen_after_image_making"):
        inputs = nodes[id_of(nodes, "GPEN_RestoreFaces")]["inputs"]
        options = RestoreOptions(
            selection=Selection(largest=1 if inputs["face_selection"] == "largest" else None),
            blending=Blending(strength=inputs["visibility"], colour_match=inputs["colour_match"]),
        )
        return np.asarray(
            FaceRestorer(load_model(**device), detector).restore(read(source / "portrait.png"), options).picture
        )
    if name == "gpen_group_photograph":
        options = RestoreOptions(blending=Blending(colour_match="surroundings"))
        return np.asarray(
            FaceRestorer(load_model(**device), detector).restore(read(source / "group.png"), options).picture
        )
    if name == "gpen_colourise":
        return colorize(read(source / "portrait.png"), load_model(models / COLOUR, **device), detector=detector).picture
    if name == "gpen_step_by_step":
        picture, restorer = read(source / "portrait.png"), FaceRestorer(load_model(**device), detector)
        faces = restorer.align(picture, restorer.detect(picture))
        crops = sharpened(restorer.run(faces.crops), nodes[id_of(nodes, "ImageSharpen")]["inputs"])
        as_they_are = RestoreOptions(blending=Blending(keep_detail=False))
        result = restorer.paste(picture, faces, crops, restorer.masks(faces, crops), as_they_are)
        share = np.zeros(picture.shape[:2], dtype=np.float32)
        for face in result.faces:
            x1, y1, x2, y2 = face.rectangle
            share[y1:y2, x1:x2] += face.mask.numpy()
        share = share.clip(0, 1)[..., None] * nodes[id_of(nodes, "GPEN_BlendFaces")]["inputs"]["strength"]
        return picture + (result.picture - picture) * share
    if name == "gpen_inpaint":
        masked = Image.open(source / "portrait_masked.png")
        mask = 1 - np.asarray(masked.getchannel("A"), dtype=np.float32) / 255
        return inpaint(
            read(source / "portrait_masked.png"), load_model(models / INPAINT, **device), mask=mask, detector=detector
        ).picture
    return None


def sharpened(crops: torch.Tensor, settings: dict[str, float]) -> torch.Tensor:
    """(N, 3, S, S): what ComfyUI's Sharpen Image makes of it: a Gaussian of the neighbours is taken away."""
    radius, sigma = int(settings["sharpen_radius"]), settings["sigma"]
    line = torch.linspace(-1, 1, 2 * radius + 1)
    weight = torch.exp(-(line[:, None].square() + line.square()) / (2 * sigma**2))
    weight = -10 * settings["alpha"] * weight / weight.sum()
    weight[radius, radius] += 1 - weight.sum()
    padded = torch.nn.functional.pad(crops, (radius,) * 4, mode="reflect")
    kernel = weight.expand(3, 1, *weight.shape)
    return torch.nn.functional.conv2d(padded, kernel, groups=3).clamp(0, 1)


@pytest.mark.parametrize("name", NAMES)
def test_an_earlier_graph_runs_and_gives_what_python_gives(name: str, server: Server) -> None:
    nodes = graph(name)
    worker = next(
        (
            k
            for k, n in nodes.items()
            if n["class_type"] in ("GPEN_RestoreFaces", "GPEN_ColouriseFace", "GPEN_InpaintFace")
        ),
        None,
    )
    if worker is not None:
        kind = nodes[worker]["class_type"]
        nodes["count"] = {
            "class_type": "PreviewAny",
            "inputs": {"source": [worker, 5 if kind == "GPEN_RestoreFaces" else 2]},
        }
        nodes["mask"] = {"class_type": "MaskToImage", "inputs": {"mask": [worker, 1]}}
    else:
        nodes["count"] = {"class_type": "PreviewAny", "inputs": {"source": [id_of(nodes, "GPEN_DetectFaces"), 2]}}
        nodes["mask"] = {"class_type": "MaskToImage", "inputs": {"mask": [id_of(nodes, "GPEN_PasteFaces"), 1]}}
    nodes["mask out"] = {
        "class_type": "SaveImage",
        "inputs": {"images": ["mask", 0], "filename_prefix": f"{name}_mask"},
    }
    if name == "gpen_video":
        inputs = {"images": [worker, 0], "filename_prefix": "frames"}
        nodes["frames"] = {"class_type": "SaveImage", "inputs": inputs}
    outputs = server.run(nodes, seconds=900)
    assert int(outputs["count"]["text"][0]) >= 1
    if name == "gpen_video":
        assert list((server.base / "output" / "gpen").glob("film*"))
        frames = [read(path) for path in server.saved(outputs, "frames")]
        restorer = FaceRestorer(load_model(device="cpu", precision="fp32"), load_detector(device="cpu"))
        film = frames_of(server.base / "input" / "film.mp4")
        expected = [result.picture for result in restore_frames(film, restorer, smoothing=Smoothing())]
        assert len(frames) == len(expected) == len(film)
        assert np.abs(np.stack(frames) - np.stack(expected).clip(0, 1)).max() <= 1.01 / 255
        return
    loader = nodes[id_of(nodes, "LoadImage")]["inputs"]["image"]
    before = pixels_of(server.base / "input" / loader)
    after = pixels_of(server.saved(outputs, id_of(nodes, "SaveImage"))[0])
    inside = pixels_of(server.saved(outputs, "mask out")[0])[..., 0] > 0
    assert before.shape == after.shape
    assert (after - before)[inside].any()
    # A mask below half a level is not seen in its 8 bits, and moves no pixel by more than that.
    assert int(np.abs(after - before)[~inside].max()) <= (0 if name == "gpen_inpaint" else 1)
    expected = expected_by_python(name, server, nodes)
    if expected is not None:
        assert int(np.abs(after - np.rint(np.asarray(expected).clip(0, 1) * 255)).max()) <= 1
