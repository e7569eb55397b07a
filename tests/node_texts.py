"""What is written of the nodes beside their schemas, made from these: the English locale, the tables of help pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pack_loader import ROOT

LOCALE = ROOT / "locales" / "en" / "nodeDefs.json"
KINDS = {"FLOAT": "number", "INT": "whole number", "COMBO": "choice", "BOOLEAN": "switch", "STRING": "text"}
KINDS |= {
    "COMFY_DYNAMICCOMBO_V3": "choice that unfolds",
    "GPEN_FACES,BOUNDING_BOX,FACE_LANDMARKS,SEGS": "faces of any kind",
}


def english(nodes: Mapping[str, Any]) -> str:
    """The English locale's file."""
    texts = {name: _texts(node.GET_SCHEMA()) for name, node in nodes.items()}
    return json.dumps(texts, indent=1, ensure_ascii=False) + "\n"


def _texts(schema: Any) -> dict[str, Any]:
    return {
        "display_name": schema.display_name,
        "description": schema.description,
        "inputs": {name: {"name": part.id, "tooltip": part.tooltip} for name, part in named_inputs(schema)},
        "outputs": {
            str(index): {"name": part.display_name, "tooltip": part.tooltip}
            for index, part in enumerate(schema.outputs)
        },
    }


def named_inputs(schema: Any) -> list[tuple[str, Any]]:
    """(name, input) of all inputs; those that a choice unfolds are called after it, as the page does: faces.sort_by."""
    named: dict[str, Any] = {}
    for part in schema.inputs:
        named[part.id] = part
        if part.io_type == "COMFY_DYNAMICCOMBO_V3":
            for choice in part.options["options"]:
                named.update({f"{part.id}.{inner.id}": inner for inner in choice.inputs})
    return list(named.items())


def page_of(name: str) -> Path:
    return ROOT / "web" / "docs" / f"{name}.md"


def page(node: Any, written: str) -> str:
    """A help page: what is `written` of the node, then the tables of its inputs and outputs."""
    schema = node.GET_SCHEMA()
    parts = [written.partition("## Inputs")[0].rstrip(), ""]
    parts += ["## Inputs", "", "| input | kind | what it does |", "|---|---|---|"]
    parts += [f"| `{name}` | {_kind(part)} | {part.tooltip} |" for name, part in named_inputs(schema)]
    parts += ["", "## Outputs", "", "| output | kind | what it is |", "|---|---|---|"]
    parts += [f"| `{part.display_name}` | {part.io_type} | {part.tooltip} |" for part in schema.outputs]
    return "\n".join(parts) + "\n"


def _kind(part: Any) -> str:
    said = [KINDS.get(part.io_type, part.io_type)]
    default = part.options.get("default")
    if default not in (None, ""):
        said.append(f"default {({True: 'on', False: 'off'}[default]) if isinstance(default, bool) else default}")
    return ", ".join([*said, "optional"] if part.optional else said)


def write(nodes: Mapping[str, Any]) -> None:
    LOCALE.write_text(english(nodes), encoding="utf-8")
    for name, node in nodes.items():
        written = page_of(name).read_text(encoding="utf-8") if page_of(name).is_file() else f"# {name}\n"
        page_of(name).write_text(page(node, written), encoding="utf-8")
