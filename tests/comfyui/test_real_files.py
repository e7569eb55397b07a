"""Weight files that are overwritten, cut short or taken away while a real ComfyUI runs; see test_real_comfyui.py."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from comfyui_server import Server
from real_graphs import id_of, restore_graph
from safetensors.torch import save_file

from gpen_core.weights import zoo

pytestmark = [pytest.mark.comfyui, pytest.mark.timeout(1800)]

#: Where each kind of file lies, and the input by which it is chosen.
FILES = {
    "model": ("facerestore_models/mine.safetensors", "GPEN_LoadModel", "model"),
    "detector": ("facedetection/detection_mine.safetensors", "GPEN_LoadModel", "detector"),
    "parser": ("facedetection/parsing_parsenet.pth", "GPEN_LoadModel", "parser"),
    "upscaler": ("upscale_models/twice.safetensors", "UpscaleModelLoader", "model_name"),
}


def overwrite(path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.write(b"\xff" * size)


def cut_short(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


DAMAGES: dict[str, Callable[[Path], None]] = {"overwritten": overwrite, "cut short": cut_short, "gone": Path.unlink}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sound files of every kind, as they lie in the models folder."""
    from spandrel.architectures.ESRGAN import ESRGAN

    parsenet = pytest.importorskip("facexlib.parsing.parsenet")
    folder = tmp_path_factory.mktemp("kept")
    for name, _, _ in FILES.values():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    for kind, of in (("model", "restorer"), ("detector", "detector")):
        bundled = next(path for path in (zoo.find(name).bundled_path for name in zoo.names(of)) if path is not None)
        shutil.copy(bundled, folder / FILES[kind][0])
    torch.manual_seed(0)
    torch.save(parsenet.ParseNet(in_size=512, out_size=512, parsing_ch=19).state_dict(), folder / FILES["parser"][0])
    upscaler = ESRGAN(in_nc=3, out_nc=3, num_filters=8, num_blocks=1, scale=2).state_dict()
    save_file({key: value.contiguous() for key, value in upscaler.items()}, folder / FILES["upscaler"][0])
    return folder


def with_files(visibility: float) -> dict[str, Any]:
    """Restore Faces with a file of each kind."""
    nodes = restore_graph([], visibility=visibility, mask_kind="parser")
    nodes["upscaler"] = {"class_type": "UpscaleModelLoader", "inputs": {}}
    for name, node, option in FILES.values():
        nodes[id_of(nodes, node)]["inputs"][option] = Path(name).name
    restore = id_of(nodes, "GPEN_RestoreFaces")
    nodes[restore]["inputs"]["upscale_model"] = ["upscaler", 0]
    nodes["count"] = {"class_type": "PreviewAny", "inputs": {"source": [restore, 5]}}
    return nodes


def said(server: Server, nodes: dict[str, Any]) -> str | None:
    """What the server says of a graph that it cannot run; None: it ran."""
    answer = server.post("/prompt", {"prompt": nodes})
    if answer.get("node_errors"):
        return "; ".join(e["details"] for node in answer["node_errors"].values() for e in node["errors"])
    entry = server.wait(answer["prompt_id"])
    failures = [m[1]["exception_message"] for m in entry["status"]["messages"] if m[0] == "execution_error"]
    return failures[0].strip() if failures else None


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_changes_under_the_server_is_named_in_one_line_and_the_server_lives_on(
    kind: str, damage: str, kept: Path, server: Server
) -> None:
    models = server.base / "models"
    shutil.copytree(kept, models, dirs_exist_ok=True)
    step = 0.01 * (1 + list(FILES).index(kind) * 3 + list(DAMAGES).index(damage))
    first = said(server, with_files(1 - step))
    if first is not None and "facexlib" in first:
        pytest.skip(f"this ComfyUI has no facexlib: {first}")
    assert first is None
    path = models / FILES[kind][0]
    DAMAGES[damage](path)
    line = said(server, with_files(0.995 - step))
    assert server.get("/system_stats")
    if kind == "upscaler":  # read, and held, by the core
        return
    assert line is not None
    assert "\n" not in line
    assert path.name in line
    shutil.copy(kept / FILES[kind][0], path)
    assert said(server, with_files(0.992 - step)) is None, json.dumps(line)
