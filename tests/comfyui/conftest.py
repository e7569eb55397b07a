"""The pack, loaded as ComfyUI loads it, on a fake ComfyUI."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_comfyui import Engine, install
from nodes_under_test import Pack
from pack_loader import link_pack, load_pack, nodes_of, unload_pack


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
