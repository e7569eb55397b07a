"""Jobs in ComfyUI's own interpreter, without its server: `python comfyui_engine.py JOB BASE [ARGUMENT]`.

The last line printed is the job's answer as JSON. COMFYUI_ROOT names ComfyUI's folder.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

PACK = "gpen-face.restore"


def start(base: Path) -> Any:
    """ComfyUI's own `nodes` module, on a CPU, with `base` as its folder."""
    sys.argv = ["main.py", "--cpu", "--base-directory", str(base)]
    sys.path.insert(0, os.environ["COMFYUI_ROOT"])
    os.chdir(os.environ["COMFYUI_ROOT"])
    import comfy.options

    comfy.options.enable_args_parsing()
    # First, as ComfyUI does: its `nodes` puts a folder on the path that has another `utils`.
    importlib.import_module("utils.extra_config")
    core = importlib.import_module("nodes")
    for name in ("comfy.utils", "comfy.model_patcher", "comfy_api.latest", "comfy_config.config_parser", "server"):
        importlib.import_module(name)
    return core


def load(core: Any, base: Path) -> None:
    """The pack, by ComfyUI's own loader."""
    if not asyncio.run(core.load_custom_node(str(base / "custom_nodes" / PACK))):
        raise SystemExit("ComfyUI did not load the pack")


def measure_import(core: Any, base: Path) -> dict[str, Any]:
    """Seconds that loading the pack takes, files that it wrote, models that it touched."""
    import comfy.model_management

    # The loader reads any pack's pyproject.toml with pydantic, whose first import is not this pack's cost.
    from comfy_config import config_parser

    told = config_parser.extract_node_configuration(str(base / "custom_nodes" / PACK)).project
    before = {path for path in base.rglob("*") if "__pycache__" not in path.parts}
    began = time.perf_counter()
    load(core, base)
    seconds = time.perf_counter() - began
    written = {path for path in base.rglob("*") if "__pycache__" not in path.parts} - before
    return {
        "seconds": seconds,
        "written": sorted(map(str, written)),
        "registry": [told.name, told.license.text, *told.supported_os, *told.supported_accelerators],
        "loaded": len(comfy.model_management.current_loaded_models),
    }


def measure_frames(core: Any, base: Path, count: int) -> dict[str, Any]:
    """Time of Restore Faces on `count` frames of 512×512 over that of `restore_many`, in turns."""
    import numpy as np
    import torch
    from PIL import Image

    load(core, base)
    pack = str(base / "custom_nodes" / PACK).replace(".", "_x_")
    inside = importlib.import_module(f"{pack}.gpen_core")
    loader, node = core.NODE_CLASS_MAPPINGS["GPEN_LoadModel"], core.NODE_CLASS_MAPPINGS["GPEN_RestoreFaces"]
    picture = Image.open(base / "input" / "portrait.png").convert("RGB").resize((512, 512))
    pixels = np.asarray(picture, dtype=np.float32) / 255
    images = torch.from_numpy(np.stack([np.roll(pixels, k % 8, 1) for k in range(count)]))
    defaults = {
        part.id: part.default for part in node.GET_SCHEMA().inputs if not part.optional and hasattr(part, "default")
    }
    with torch.inference_mode():
        model = loader.execute("gpen-open-256", "fp32", "auto", "none").args[0]
    restorer = inside.FaceRestorer(
        inside.load_model(precision="fp32", device="cpu"), inside.load_detector(device="cpu")
    )

    def by_node() -> int:
        with torch.inference_mode():
            return int(node.execute(**{**defaults, "gpen_model": model, "image": images}).args[-1])

    def by_python() -> int:
        with torch.inference_mode():
            return sum(len(result.faces) for result in restorer.restore_many(frame.numpy() for frame in images))

    faces = by_node()
    by_python()
    times: dict[str, list[float]] = {"node": [], "python": []}
    for _ in range(5):
        for name, job in (("node", by_node), ("python", by_python)):
            began = time.perf_counter()
            job()
            times[name].append(time.perf_counter() - began)
    node_seconds, python_seconds = (statistics.median(times[name]) for name in ("node", "python"))
    return {
        "faces": faces,
        "node": node_seconds,
        "python": python_seconds,
        "ratio": node_seconds / python_seconds,
        "times": times,
    }


def write_landmarker(base: Path, name: str, mesh_file: Path) -> dict[str, Any]:
    """Weights for the core's face landmarker that see one mesh in every picture, as `mesh_file` (478, 2) has it.

    Its coordinates: from the picture's middle, in longer sides of it. All weights are 0, so that the biases speak:
    boxes eight pictures wide around every anchor, which are averaged to one around the middle.
    """
    import numpy as np
    import torch
    from comfy_extras import nodes_mediapipe as core
    from safetensors.torch import save_file

    model = core.FaceLandmarker(detector_variant="short")
    state = {key: torch.zeros_like(value) for key, value in model.state_dict().items()}
    for size in (8, 16):
        state[f"detector.cls_{size}.bias"].fill_(10.0)
        anchors = state[f"detector.reg_{size}.bias"].view(-1, 16)
        anchors[:, 2:4] = 8 * 128.0
    mesh = torch.from_numpy(np.load(mesh_file)).float()
    canonical = torch.cat((96 + 16 * mesh, mesh.sum(1, keepdim=True)), 1)
    state["mesh.head_landmarks.bias"] = canonical.flatten()
    state["mesh.head_presence.bias"].fill_(10.0)
    named = {
        f"detector_short.{key.removeprefix('detector.')}" if key.startswith("detector.") else key: value
        for key, value in state.items()
    }
    for part in (*core._CONTOUR_PARTS, "irises", "nose", "tesselation"):
        named[f"topology.{part}"] = torch.tensor([[0, 1], [1, 2]], dtype=torch.int32)
    named["canonical_vertices"] = torch.rand(468, 3, generator=torch.Generator().manual_seed(0))
    named["procrustes_indices"] = torch.arange(0, 468, 12, dtype=torch.int32)
    named["procrustes_weights"] = torch.ones(39)
    path = base / "models" / "detection" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(named, path)
    return {"written": str(path)}


def main() -> None:
    """Runs one job."""
    job, base = sys.argv[1], Path(sys.argv[2])
    rest = sys.argv[3:]
    core = start(base)
    if job == "landmarker":
        answer = write_landmarker(base, rest[0], Path(rest[1]))
    else:
        answer = measure_import(core, base) if job == "import" else measure_frames(core, base, int(rest[0]))
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
