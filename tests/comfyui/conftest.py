"""The pack, loaded as ComfyUI loads it, on a fake ComfyUI."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_comfyui import Engine, install
from nodes_under_test import Pack
from pack_loader import link_pack, load_pack, nodes_of, unload_pack


@pytest.fixture
def pack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pack]:
    """The pack under a folder name with dashes and dots."""
    engine = Engine(tmp_path)
    install(engine, monkeypatch)
    path = link_pack(tmp_path / "custom_nodes", "gpen-face.restore")
    root = load_pack(path)
    yield Pack(engine, path, root, nodes_of(root))
    unload_pack(path)
