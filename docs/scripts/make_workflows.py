"""Writes the shipped workflows: python docs/scripts/make_workflows.py OBJECT_INFO.json

OBJECT_INFO is what a ComfyUI that holds this pack answers at /object_info: it says the order of inputs and widgets.
Each graph is written twice: as the page opens it (workflows/) and as the server runs it (tests/comfyui/workflows/).
Pictures go from left to right; a wire that passes a column is led over the nodes that stand there.
"""

from __future__ import annotations

import argparse
import json
import uuid
from pathlib import Path
from typing import Any

from workflow_graphs import GRAPHS, Graph, Node

ROOT = Path(__file__).parent.parent.parent
PAGES, SERVER = ROOT / "workflows", ROOT / "tests" / "comfyui" / "workflows"
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "IMAGECOMPARE", "COMFY_DYNAMICCOMBO_V3")
#: Left edges of the columns, and a node's width; the rest is for wires.
COLUMNS, WIDTH = tuple(40 + 520 * number for number in range(7)), 340
#: The lowest of the lanes in which wires pass over columns, and how far apart they are; nodes begin below.
LANE, APART = 250, 24


def parts_of(info: dict[str, Any]) -> list[tuple[str, str, dict[str, Any], bool]]:
    """(name, type, details, whether it is optional) of a node's inputs, in their order."""
    parts = []
    for group in ("required", "optional"):
        for name in info["input_order"].get(group, ()):
            kind, *rest = info["input"][group][name]
            details = rest[0] if rest else {}
            parts.append((name, "COMBO" if isinstance(kind, list) else kind, details, group == "optional"))
            if isinstance(kind, list):
                parts[-1][2].setdefault("options", kind)
    return parts


def value_of(node: Node, name: str, details: dict[str, Any]) -> Any:
    """What stands in a widget: what the graph says, else its default, else its first choice."""
    if name in node.inputs:
        return node.inputs[name]
    if "default" in details:
        return details["default"]
    choices = details.get("options") or [None]
    return choices[0]["key"] if isinstance(choices[0], dict) else choices[0]


def height_of(info: dict[str, Any]) -> int:
    """Of a node on the page, roughly: slots, then widgets."""
    parts = parts_of(info)
    widgets = sum(kind in WIDGETS and not details.get("forceInput") for _, kind, details, _ in parts)
    return 40 + 22 * max(len(parts) - widgets, len(info["output"])) + 26 * widgets


def page(title: str, graph: Graph, infos: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(as the page opens it, as the server runs it)."""
    numbers = {key: place + 1 for place, key in enumerate(graph.nodes)}
    links: list[list[Any]] = []
    nodes: list[dict[str, Any]] = []
    server: dict[str, Any] = {}
    for order, (key, node) in enumerate(graph.nodes.items()):
        info = infos[node.kind]
        inputs, values, given = [], [], {}
        for name, kind, details, optional in parts_of(info):
            entry: dict[str, Any] = {"name": name, "type": kind, "link": None}
            wanted = node.inputs.get(name)
            if isinstance(wanted, tuple):
                source, slot = wanted
                links.append(
                    [
                        len(links) + 1,
                        numbers[source],
                        slot,
                        numbers[key],
                        len(inputs),
                        infos[graph.nodes[source].kind]["output"][slot],
                    ]
                )
                entry["link"] = len(links)
                given[name] = [str(numbers[source]), slot]
            elif kind in WIDGETS and not details.get("forceInput"):
                value = value_of(node, name, details)
                if kind != "IMAGECOMPARE":
                    entry["widget"] = {"name": name}
                    values.append(value)
                    given[name] = value
                    if name == "seed":
                        values.append("fixed")
                else:
                    values.append([])
                    given[name] = ""
                    continue
            if optional and "widget" not in entry:
                entry["shape"] = 7
            inputs.append(entry)
        properties: dict[str, Any] = {"Node name for S&R": node.kind}
        if node.models:
            properties["models"] = list(node.models)
        properties["cnr_id"] = "gpen" if node.kind.startswith("GPEN_") else "comfy-core"
        made = {
            "id": numbers[key],
            "type": node.kind,
            "pos": [COLUMNS[node.column], node.top],
            "size": [WIDTH, node.height or height_of(info)],
            "flags": {},
            "order": order,
            "mode": 0,
            "inputs": inputs,
            "outputs": [
                {"name": name, "type": kind, "links": []}
                for name, kind in zip(info["output_name"], info["output"], strict=True)
            ],
            "properties": properties,
            "widgets_values": values,
        }
        if node.title:
            made["title"] = node.title
        nodes.append(made)
        server[str(numbers[key])] = {
            "class_type": node.kind,
            "inputs": given,
            "_meta": {"title": node.title or info["display_name"] or node.kind},
        }
    for number, source, slot, *_ in links:
        nodes[source - 1]["outputs"][slot]["links"].append(number)
    nodes.append(note(graph.note, len(nodes) + 1))
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"gpen/{title}")),
        "revision": 0,
        "last_node_id": len(nodes),
        "last_link_id": len(links),
        "nodes": nodes,
        "links": links,
        "groups": [],
        "config": {},
        "extra": {"ds": {"scale": 0.6, "offset": [60, 60]}, **led_over(links, nodes)},
        "version": 0.4,
    }, server


def led_over(links: list[list[Any]], nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """Two points for each wire that passes a column: up into a lane of its own, along it, and down."""
    reroutes: list[dict[str, Any]] = []
    extensions = []
    left = {node["id"]: node["pos"][0] for node in nodes}
    for number, source, _, target, *_ in links:
        if left[target] - left[source] <= COLUMNS[1] - COLUMNS[0]:
            continue
        lane = LANE - APART * len(extensions)
        first = {"id": len(reroutes) + 1, "pos": [left[source] + WIDTH + 90, lane], "linkIds": [number]}
        last = {"id": len(reroutes) + 2, "parentId": first["id"], "pos": [left[target] - 90, lane], "linkIds": [number]}
        reroutes += [first, last]
        extensions.append({"id": number, "parentId": last["id"]})
    return {"reroutes": reroutes, "linkExtensions": extensions} if reroutes else {}


def note(text: str, number: int) -> dict[str, Any]:
    """The words that a graph opens with."""
    return {
        "id": number,
        "type": "MarkdownNote",
        "pos": [COLUMNS[0], 10],
        "size": [WIDTH, 250],
        "flags": {},
        "order": number - 1,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "title": "Read me",
        "properties": {},
        "widgets_values": [text],
        "color": "#432",
        "bgcolor": "#653",
    }


def main() -> None:
    """Reads the command line and writes the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("object_info", type=Path)
    infos = json.loads(parser.parse_args().object_info.read_text(encoding="utf-8"))
    for title, graph in GRAPHS.items():
        for folder, content in zip((PAGES, SERVER), page(title, graph, infos), strict=True):
            text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
            (folder / f"{title}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
