"""The shipped workflows as files: the page's form and the server's form say the same, and fit the nodes."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
from nodes_under_test import Pack
from pack_loader import ROOT

WORKFLOWS = ROOT / "workflows"
GRAPHS = Path(__file__).parent / "workflows"
NAMES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}


def page_form(name: str) -> dict[str, Any]:
    return json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))


def server_form(name: str) -> dict[str, Any]:
    return json.loads((GRAPHS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NAMES)
def test_the_page_and_the_server_get_the_same_graph(name: str) -> None:
    page, server = page_form(name), server_form(name)
    nodes = {str(node["id"]): node for node in page["nodes"] if node["type"] != "MarkdownNote"}
    assert {key: node["type"] for key, node in nodes.items()} == {k: n["class_type"] for k, n in server.items()}
    links = {link[0]: link for link in page["links"]}
    for key, node in nodes.items():
        for part in node["inputs"]:
            wanted = server[key]["inputs"].get(part["name"])
            if part["link"] is None:
                assert not isinstance(wanted, list), f"{node['type']}.{part['name']}"
                continue
            _, source, slot, target, place, _ = links[part["link"]]
            assert [str(source), slot] == wanted
            assert (str(target), node["inputs"][place]["name"]) == (key, part["name"])
            assert part["link"] in nodes[str(source)]["outputs"][slot]["links"]


@pytest.mark.parametrize("name", NAMES)
def test_widget_values_stand_in_the_order_of_the_nodes_inputs(pack: Pack, name: str) -> None:
    server = server_form(name)
    for node in page_form(name)["nodes"]:
        if node["type"] not in pack.nodes:
            continue
        schema = pack.nodes[node["type"]].GET_SCHEMA()
        # The page takes what is needed first, then what is optional.
        widgets = sorted((part for part in schema.inputs if part.io_type in WIDGETS), key=lambda part: part.optional)
        values = [server[str(node["id"])]["inputs"].get(part.id) for part in widgets]
        assert node["widgets_values"] == values
        for part, value in zip(widgets, values, strict=True):
            if "options" in part.options and part.id != "model":
                assert value in part.options["options"]


@pytest.mark.parametrize("name", NAMES)
def test_every_input_of_the_packs_nodes_is_known_and_every_needed_one_is_there(pack: Pack, name: str) -> None:
    for node in server_form(name).values():
        if node["class_type"] not in pack.nodes:
            continue
        parts = pack.nodes[node["class_type"]].GET_SCHEMA().inputs
        assert set(node["inputs"]) <= {part.id for part in parts}
        assert {part.id for part in parts if not part.optional} <= set(node["inputs"])


@pytest.mark.parametrize("name", NAMES)
def test_models_that_do_not_ship_come_with_an_address_and_a_folder(pack: Pack, name: str) -> None:
    zoo = pack.module("gpen_core.weights.zoo")
    for node in page_form(name)["nodes"]:
        if node["type"] not in ("GPEN_LoadModel", "CheckpointLoaderSimple"):
            continue
        entry = zoo.lookup(node["widgets_values"][0])
        if entry is not None and entry.bundled is not None:
            continue
        (model,) = node["properties"]["models"]
        assert model["url"].startswith("https://")
        assert model["url"].endswith(model["name"])
        assert model["directory"] == ("checkpoints" if entry is None else "facerestore_models")
        if entry is not None:
            assert model["name"] == entry.file
            assert model["url"] in [getattr(place, "url", None) for place in entry.places]


def test_every_workflow_has_a_thumbnail() -> None:
    assert sorted(path.stem for path in WORKFLOWS.glob("*.jpg")) == NAMES


def rectangle(node: dict[str, Any]) -> tuple[float, float, float, float]:
    """Of a node on the page, its title bar included."""
    (x, y), (width, height) = node["pos"], node["size"]
    return x, y - 30, x + width, y + height


def wire(page: dict[str, Any], nodes: dict[int, dict[str, Any]], link: list[Any]) -> list[tuple[float, float]]:
    """Points along a link, from its source by the points that lead it to its target."""
    number, source, slot, target, place, _ = link
    (x1, y1), (x2, y2) = nodes[source]["pos"], nodes[target]["pos"]
    # A widget has no slot of its own on the left; sockets come first.
    sockets = [part for part in nodes[target]["inputs"] if "widget" not in part]
    row = sockets.index(nodes[target]["inputs"][place]) if nodes[target]["inputs"][place] in sockets else place
    led = [tuple(point["pos"]) for point in page["extra"].get("reroutes", ()) if number in point["linkIds"]]
    start, end = (x1 + nodes[source]["size"][0], y1 + (slot + 0.7) * 20), (x2, y2 + (row + 0.7) * 20)
    return [point for a, b in itertools.pairwise([start, *led, end]) for point in curve(a, b)]


def curve(start: tuple[float, float], end: tuple[float, float]) -> list[tuple[float, float]]:
    """Points of the curve that leaves `start` and reaches `end` level, as the page draws it."""
    (x1, y1), (x2, y2) = start, end
    reach = math.hypot(x2 - x1, y2 - y1) / 4
    points = []
    for step in range(41):
        t = step / 40
        weights = ((1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3)
        xs, ys = (x1, x1 + reach, x2 - reach, x2), (y1, y1, y2, y2)
        points.append(tuple(sum(w * v for w, v in zip(weights, values, strict=True)) for values in (xs, ys)))
    return points


@pytest.mark.parametrize("name", NAMES)
def test_nodes_do_not_overlap_and_pictures_go_from_left_to_right_beside_them(name: str) -> None:
    page = page_form(name)
    nodes = {node["id"]: node for node in page["nodes"]}
    for one, other in itertools.combinations(nodes.values(), 2):
        a, b = rectangle(one), rectangle(other)
        assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1], f"{one['type']} lies on {other['type']}"
    for link in page["links"]:
        source, target = nodes[link[1]], nodes[link[3]]
        between = [node for node in nodes.values() if node not in (source, target)]
        assert source["pos"][0] < target["pos"][0], f"{source['type']} lies right of {target['type']}"
        for x, y in wire(page, nodes, link):
            for node in between:
                left, top, right, bottom = rectangle(node)
                assert not (left < x < right and top < y < bottom), (
                    f"the wire from {source['type']} to {target['type']} goes under {node['type']}"
                )


def test_all_that_need_no_checkpoint_begin_with_a_picture_that_ships_and_end_in_a_comparison() -> None:
    for name in NAMES:
        kinds = [node["type"] for node in page_form(name)["nodes"]]
        assert "ImageCompare" in kinds, name
        assert "GPEN_ExamplePhotograph" in kinds or "CheckpointLoaderSimple" in kinds, name


@pytest.mark.parametrize("path", sorted((ROOT / "subgraphs").glob("*.json")), ids=lambda path: path.stem)
def test_a_blueprint_takes_and_gives_a_picture_and_shows_widgets_that_are_there(pack: Pack, path: Path) -> None:
    blueprint = json.loads(path.read_text(encoding="utf-8"))
    (outer,), (inner,) = blueprint["nodes"], blueprint["definitions"]["subgraphs"]
    assert outer["type"] == inner["id"]
    assert inner["name"] == path.stem
    assert [part["type"] for part in (*inner["inputs"], *inner["outputs"])] == ["IMAGE", "IMAGE"]
    nodes = {str(node["id"]): node for node in inner["nodes"]}
    for number, widget in outer["properties"]["proxyWidgets"]:
        assert widget in [part["name"] for part in nodes[number]["inputs"] if "widget" in part]
    for node in nodes.values():
        if node["type"] in pack.nodes:
            known = [part.id for part in pack.nodes[node["type"]].GET_SCHEMA().inputs]
            assert sorted(part["name"] for part in node["inputs"]) == sorted(known)
    for link in inner["links"]:
        if link["target_id"] > 0:
            assert nodes[str(link["target_id"])]["inputs"][link["target_slot"]]["link"] == link["id"]
