"""Graphs saved with earlier versions, as a real ComfyUI runs them: their pictures, film and stand-in models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pack_loader import ROOT
from PIL import Image

from gpen_core import GPEN, FaceRestorer, load_model
from gpen_core.config import GPENConfig, ModelCard
from gpen_core.weights import checkpoint, load_detector

GRAPHS = Path(__file__).parent / "comfyui" / "earlier"
EXAMPLES = ROOT / "gpen_core" / "examples"
COLOUR, INPAINT, SEGMENTATION = (
    "stand-in-colour.safetensors",
    "stand-in-inpaint.safetensors",
    "stand-in-seg.safetensors",
)


def example() -> Image.Image:
    """One of the pictures that ship."""
    found = sorted(EXAMPLES.glob("*.jpg"))
    if not found:
        pytest.skip(f"no example pictures in {EXAMPLES}")
    return Image.open(found[0]).convert("RGB")


def side_by_side(picture: Image.Image) -> Image.Image:
    """A group photograph of sorts: the picture, and the picture mirrored beside it."""
    group = Image.new("RGB", (2 * picture.width, picture.height))
    group.paste(picture, (0, 0))
    group.paste(picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (picture.width, 0))
    return group


def write_stand_in(path: Path, task: str) -> None:
    """A small model of this task with random weights: what it makes is no face, but it goes through every step."""
    value_range = (0.0, 1.0) if task == "segmentation" else (-1.0, 1.0)
    config = GPENConfig.standard(128, channel_multiplier=1, narrow=0.25)
    model = GPEN(config, generator=torch.Generator().manual_seed(1))
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.write(path, model.state_dict(), config, ModelCard(name=path.stem, task=task, value_range=value_range))


def write_film(path: Path, picture: Image.Image, frames: int = 8) -> None:
    """A film of this picture, a pixel further to the right in each frame, at most forty."""
    av = pytest.importorskip("av")
    pixels = np.asarray(picture.resize((320, 320)))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 320, 320, "yuv420p"
        for k in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(pixels, k % 40, 1), "rgb24")))
        container.mux(stream.encode())


def frames_of(path: Path) -> list[np.ndarray]:
    """(H, W, 3) float32 each, as Load Video gives them: converted without a stop at 8 bits."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="gbrpf32le") for frame in film.decode(video=0)]


NAMES = sorted(path.stem for path in GRAPHS.glob("*.json"))


def load_and_detect(path: Path) -> list[Any]:
    return FaceRestorer(load_model(precision="fp32", device="cpu"), load_detector(device="cpu")).detect(path)


def graph(name: str) -> dict[str, Any]:
    """A graph in API form, with files that this test has made."""
    text = (GRAPHS / f"{name}.json").read_text(encoding="utf-8")
    for shipped, made in (
        ("portrait.jpg", "portrait.png"),
        ("group.jpg", "group.png"),
        ("GPEN-Colorization-1024", COLOUR),
        ("GPEN-Inpainting-1024", INPAINT),
    ):
        text = text.replace(f'"{shipped}"', f'"{made}"')
    nodes = json.loads(text)
    for node in nodes.values():
        if node["class_type"] == "GPEN_LoadModel":
            node["inputs"]["precision"] = "fp32"
    maker = next((key for key, node in nodes.items() if node["class_type"] == "VAEDecode"), None)
    if maker is not None:
        # The image maker's weights are not to be had here: a picture stands in its place.
        makers = ("CheckpointLoaderSimple", "CLIPTextEncode", "EmptyLatentImage", "KSampler")
        nodes = {key: node for key, node in nodes.items() if node["class_type"] not in makers}
        nodes[maker] = {"class_type": "LoadImage", "inputs": {"image": "portrait.png"}}
    return nodes


def id_of(nodes: dict[str, Any], kind: str) -> str:
    return next(key for key, node in nodes.items() if node["class_type"] == kind)


def pixels_of(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(np.int64)


def read(path: Path) -> np.ndarray:
    """(H, W, 3) float32, as Load Image gives it."""
    return np.asarray(Image.open(path).convert("RGB")).astype(np.float32) / 255


def restore_graph(image: list[Any], **values: Any) -> dict[str, Any]:
    nodes = graph("gpen_portrait")
    restore = nodes[id_of(nodes, "GPEN_RestoreFaces")]["inputs"]
    restore.update({"face_selection": "all", "colour_match": "none", **values})
    return nodes
