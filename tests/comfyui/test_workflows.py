"""The shipped workflows as files: the page's form and the server's form say the same, and fit the nodes."""

from __future__ import annotations

import json
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
        widgets = [part for part in pack.nodes[node["type"]].GET_SCHEMA().inputs if part.io_type in WIDGETS]
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
