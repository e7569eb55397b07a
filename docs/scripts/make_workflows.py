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

from workflow_graphs import BLUEPRINTS, GRAPHS, Graph, Node

ROOT = Path(__file__).parent.parent.parent
PAGES, SERVER = ROOT / "workflows", ROOT / "tests" / "comfyui" / "workflows"
BLOCKS = ROOT / "subgraphs"
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


def built(graph: Graph, infos: dict[str, Any]) -> tuple[list[dict[str, Any]], list[list[Any]], dict[str, Any]]:
    """(nodes of the page, links of the page, what the server runs)."""
    numbers = {key: place + 1 for place, key in enumerate(graph.nodes)}
    links: list[list[Any]] = []
    nodes: list[dict[str, Any]] = []
    server: dict[str, Any] = {}
    for order, (key, node) in enumerate(graph.nodes.items()):
        info = infos[node.kind]
        inputs: list[dict[str, Any]] = []
        values: list[Any] = []
        given: dict[str, Any] = {}
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
    return nodes, links, server


def page(title: str, graph: Graph, infos: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(as the page opens it, as the server runs it)."""
    nodes, links, server = built(graph, infos)
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


def blueprint(title: str, graph: Graph, infos: dict[str, Any]) -> dict[str, Any]:
    """A subgraph to be put into any graph: IMAGE in, IMAGE out, its widgets those of `graph.shown`."""
    nodes, links, _ = built(graph, infos)
    numbers = {key: place + 1 for place, key in enumerate(graph.nodes)}
    worker = nodes[-1]
    slot = next(place for place, part in enumerate(worker["inputs"]) if part["name"] == "image")
    inner = [
        {"id": n, "origin_id": a, "origin_slot": b, "target_id": c, "target_slot": d, "type": kind}
        for n, a, b, c, d, kind in links
    ]
    first, last = len(links) + 1, len(links) + 2
    ends = {"origin_id": -10, "target_id": worker["id"]}, {"origin_id": worker["id"], "target_id": -20}
    inner.append({"id": first, **ends[0], "origin_slot": 0, "target_slot": slot, "type": "IMAGE"})
    inner.append({"id": last, **ends[1], "origin_slot": 0, "target_slot": 0, "type": "IMAGE"})
    worker["inputs"][slot]["link"] = first
    worker["outputs"][0]["links"] = [last]
    name = str(uuid.uuid5(uuid.NAMESPACE_URL, f"gpen/blueprint/{title}"))
    door = {"name": "image", "type": "IMAGE"}
    right = COLUMNS[1] + WIDTH + 120
    doors = [
        [{"id": str(uuid.uuid5(uuid.UUID(name), side)), **door, "linkIds": [number], "pos": [x, 320]}]
        for side, number, x in (("in", first, -80), ("out", last, right))
    ]
    subgraph = {
        "id": name,
        "version": 1,
        "state": {"lastGroupId": 0, "lastNodeId": len(nodes) + 1, "lastLinkId": last, "lastRerouteId": 0},
        "revision": 0,
        "config": {},
        "name": title,
        "inputNode": {"id": -10, "bounding": [-200, 300, 120, 60]},
        "outputNode": {"id": -20, "bounding": [right, 300, 120, 60]},
        "inputs": doors[0],
        "outputs": doors[1],
        "widgets": [],
        "nodes": nodes,
        "groups": [],
        "links": inner,
        "extra": {},
        "category": "Image Tools/Faces",
        "description": graph.note,
    }
    outer = {
        "id": len(nodes) + 1,
        "type": name,
        "pos": [400, 300],
        "size": [WIDTH, 180],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [{**door, "link": None}],
        "outputs": [{**door, "links": []}],
        "properties": {"proxyWidgets": [[str(numbers[key]), widget] for key, widget in graph.shown]},
        "widgets_values": [],
        "title": title,
    }
    return {
        "revision": 0,
        "last_node_id": outer["id"],
        "last_link_id": 0,
        "nodes": [outer],
        "links": [],
        "version": 0.4,
        "definitions": {"subgraphs": [subgraph]},
        "extra": {},
    }


def led_over(links: list[list[Any]], nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """Two points for each wire that passes a column: up into a lane of its own, along it, and down."""
    reroutes: list[dict[str, Any]] = []
    extensions: list[dict[str, Any]] = []
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


def write(path: Path, content: dict[str, Any]) -> None:
    """The file, in the form that a person reads."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Reads the command line and writes the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("object_info", type=Path)
    infos = json.loads(parser.parse_args().object_info.read_text(encoding="utf-8"))
    for title, graph in BLUEPRINTS.items():
        write(BLOCKS / f"{title}.json", blueprint(title, graph, infos))
    for title, graph in GRAPHS.items():
        for folder, content in zip((PAGES, SERVER), page(title, graph, infos), strict=True):
            write(folder / f"{title}.json", content)


if __name__ == "__main__":
    main()
