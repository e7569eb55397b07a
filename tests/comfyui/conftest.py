"""The pack, loaded as ComfyUI loads it, on a fake ComfyUI."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from comfyui_server import Server, comfyui_root
from fake_comfyui import Engine, install
from nodes_under_test import Pack
from pack_loader import link_pack, load_pack, nodes_of, unload_pack
from PIL import Image
from real_graphs import (
    COLOUR,
    INPAINT,
    SEGMENTATION,
    example,
    load_and_detect,
    side_by_side,
    write_film,
    write_stand_in,
)

from gpen_core.weights import zoo


@pytest.fixture(scope="module")
def loaded_pack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pack]:
    """The pack under a folder name with dashes and dots; loading it takes longer than most tests."""
    root = tmp_path_factory.mktemp("comfyui")
    with pytest.MonkeyPatch.context() as patch:
        engine = Engine(root)
        install(engine, patch)
        path = link_pack(root / "custom_nodes", "gpen-face.restore")
        module = load_pack(path)
        yield Pack(engine, path, module, nodes_of(module))
        unload_pack(path)


@pytest.fixture
def pack(loaded_pack: Pack, tmp_path: Path) -> Pack:
    """The pack, on an engine that has not been asked anything yet."""
    loaded_pack.engine.reset(tmp_path)
    return loaded_pack


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    comfyui_root()
    if zoo.find(zoo.DEFAULT_MODEL).bundled_path is None or not zoo.find(zoo.DEFAULT_MODEL).bundled_path.is_file():
        pytest.skip(f"{zoo.DEFAULT_MODEL} does not ship with this copy")
    base = tmp_path_factory.mktemp("comfyui")
    link_pack(base / "custom_nodes", "gpen-face.restore")
    for other in Path(os.environ["COMFYUI_PACKS"]).iterdir() if "COMFYUI_PACKS" in os.environ else ():
        (base / "custom_nodes" / other.name).symlink_to(other)
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
