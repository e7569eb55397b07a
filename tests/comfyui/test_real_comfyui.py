"""The pack in a real ComfyUI: COMFYUI_ROOT=/path/to/ComfyUI COMFYUI_PYTHON=its-python pytest -m comfyui."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from comfyui_server import Server, comfyui_python, comfyui_root
from pack_loader import ROOT, link_pack
from PIL import Image

from gpen_core import FaceRestorer, load_model
from gpen_core.architecture import GPEN
from gpen_core.config import GPENConfig, ModelCard
from gpen_core.options import Blending, RestoreOptions, Selection
from gpen_core.tasks import colorize, inpaint
from gpen_core.video import Smoothing, restore_frames
from gpen_core.weights import checkpoint, load_detector, zoo

pytestmark = [pytest.mark.comfyui, pytest.mark.timeout(1800)]

WORKFLOWS = ROOT / "workflows"
GRAPHS = Path(__file__).parent / "workflows"
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
    """A film of this picture, a pixel further to the right in each frame."""
    av = pytest.importorskip("av")
    pixels = np.asarray(picture.resize((320, 320)))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=8)
        stream.width, stream.height, stream.pix_fmt = 320, 320, "yuv420p"
        for k in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(pixels, k, 1), "rgb24")))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    comfyui_root()
    if zoo.find(zoo.DEFAULT_MODEL).bundled_path is None or not zoo.find(zoo.DEFAULT_MODEL).bundled_path.is_file():
        pytest.skip(f"{zoo.DEFAULT_MODEL} does not ship with this copy")
    base = tmp_path_factory.mktemp("comfyui")
    link_pack(base / "custom_nodes", "gpen-face.restore")
    models = base / "models" / "facerestore_models"
    write_stand_in(models / COLOUR, "colorization")
    write_stand_in(models / INPAINT, "inpainting")
    write_stand_in(models / SEGMENTATION, "segmentation")
    (base / "input").mkdir()
    portrait = example()
    portrait.save(base / "input" / "portrait.png")
    side_by_side(portrait).save(base / "input" / "group.png")
    write_film(base / "input" / "film.mp4", portrait)
    alpha = Image.new("L", portrait.size, 255)
    face = load_and_detect(base / "input" / "portrait.png")[0]
    x1, y1, x2, y2 = (int(v) for v in face.box)
    alpha.paste(0, ((x1 + x2) // 2, (y1 + y2) // 2, x2, y2))
    masked = portrait.copy()
    masked.putalpha(alpha)
    masked.save(base / "input" / "portrait_masked.png")
    running = Server(base)
    yield running
    running.stop()


def load_and_detect(path: Path) -> list[Any]:
    return FaceRestorer(load_model(precision="fp32", device="cpu"), load_detector(device="cpu")).detect(path)


def graph(name: str) -> dict[str, Any]:
    """A shipped workflow in API form, with files that this test has made."""
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


NAMES = sorted(path.stem for path in GRAPHS.glob("*.json"))


def test_every_shipped_workflow_has_its_api_form_and_a_thumbnail() -> None:
    assert sorted(path.stem for path in WORKFLOWS.glob("*.json")) == NAMES
    assert sorted(path.stem for path in WORKFLOWS.glob("*.jpg")) == NAMES


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
        result = restorer.paste(picture, faces, crops, restorer.masks(faces, crops))
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


def frames_of(path: Path) -> list[np.ndarray]:
    """(H, W, 3) float32 each, as Load Video gives them: converted without a stop at 8 bits."""
    av = pytest.importorskip("av")
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="gbrpf32le") for frame in film.decode(video=0)]


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


def read(path: Path) -> np.ndarray:
    """(H, W, 3) float32, as Load Image gives it."""
    return np.asarray(Image.open(path).convert("RGB")).astype(np.float32) / 255


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_workflow_runs_and_gives_what_python_gives(name: str, server: Server) -> None:
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


def restore_graph(image: list[Any], **values: Any) -> dict[str, Any]:
    nodes = graph("gpen_portrait")
    restore = nodes[id_of(nodes, "GPEN_RestoreFaces")]["inputs"]
    restore.update({"face_selection": "all", "colour_match": "none", **values})
    return nodes


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
    assert sorted(templates["gpen-face.restore"]) == NAMES
    for name in NAMES:
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


def test_cancel_stops_within_two_seconds_and_the_next_run_works(server: Server) -> None:
    nodes = many_frames(restore_graph([]), 64)
    run = server.queue(nodes)
    while not re.search(r"Requested to load Carried", server.log()) or server.get("/queue")["queue_running"] == []:
        time.sleep(0.2)
    time.sleep(4)
    began = time.monotonic()
    server.post("/interrupt", {})
    entry = server.wait(run, seconds=60)
    assert time.monotonic() - began <= 2
    assert "execution_interrupted" in [message[0] for message in entry["status"]["messages"]]
    assert server.run(many_frames(restore_graph([], visibility=0.9), 2))["count"]["text"] == ["2"]


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


def in_the_engine(job: str, server: Server, *arguments: str) -> dict[str, Any]:
    """What `comfyui_engine.py` finds in ComfyUI's own interpreter, without a server."""
    command = [comfyui_python(), str(ROOT / "tests" / "comfyui_engine.py"), job, str(server.base), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_importing_the_pack_costs_less_than_half_a_second(server: Server) -> None:
    costs = [in_the_engine("import", server) for _ in range(3)]
    assert min(cost["seconds"] for cost in costs) < 0.5, costs
    assert all(cost["written"] == [] and cost["loaded"] == 0 for cost in costs)


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
