"""The pack as a test holds it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from fake_comfyui import Engine


@dataclass
class Pack:
    """The loaded pack: its node classes by id, its modules by name, the engine it runs on."""

    engine: Engine
    path: Path
    root: ModuleType
    nodes: dict[str, Any]

    def module(self, name: str) -> ModuleType:
        """`nodes.pictures`, `gpen_core.config`, … as the pack itself has them."""
        return importlib.import_module(f"{self.root.__name__}.{name}")

    def run(self, node_id: str, **values: Any) -> Any:
        """The node's outputs, its other inputs at their defaults."""
        node = self.nodes[node_id]
        given = {
            part.id: part.options["default"]
            for part in node.GET_SCHEMA().inputs
            if "default" in part.options and not part.optional
        }
        output = node.execute(**{**given, **values})
        return output.args
