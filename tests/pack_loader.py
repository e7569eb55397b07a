"""Loads this folder the way ComfyUI loads a node pack: from its path, under a module name made of that path."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parent.parent
SHIPPED = ("__init__.py", "pyproject.toml", "gpen_core", "nodes", "web", "locales", "workflows")


def link_pack(custom_nodes: Path, name: str) -> Path:
    """A folder `name` in `custom_nodes` with the pack's parts in it."""
    pack = custom_nodes / name
    pack.mkdir(parents=True)
    for part in SHIPPED:
        if (ROOT / part).exists():
            (pack / part).symlink_to(ROOT / part)
    return pack


def load_pack(path: Path) -> ModuleType:
    """The pack's root module, under its path as a name: ComfyUI replaces the dots in it and nothing else."""
    name = str(path).replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, path / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def nodes_of(module: ModuleType) -> dict[str, Any]:
    """Its node classes by their ids."""

    async def ask() -> list[Any]:
        extension = await module.comfy_entrypoint()
        await extension.on_load()
        found: list[Any] = await extension.get_node_list()
        return found

    return {node.GET_SCHEMA().node_id: node for node in asyncio.run(ask())}


def unload_pack(path: Path) -> None:
    """Forgets the pack and everything it imported of itself."""
    name = str(path).replace(".", "_x_")
    for known in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
        del sys.modules[known]
