"""The pack as a folder: how it loads, what it promises to saved graphs, what ships with it."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import inspect
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import node_texts
import pytest
from fake_comfyui import Engine, install
from nodes_under_test import Pack
from pack_loader import ROOT, SHIPPED, load_pack, nodes_of, unload_pack

SIGNATURES = Path(__file__).parent / "signatures.json"
LANGUAGES = ("zh", "ja", "ko")


def signature_of(node: Any) -> dict[str, Any]:
    """What a saved graph relies on: the order, kinds and choices of the inputs and the order and kinds of the
    outputs. Choices that name files differ from machine to machine and are left out."""
    schema = node.GET_SCHEMA()
    inputs = []
    for name, part in node_texts.named_inputs(schema):
        known = {"id": name, "type": part.io_type, "optional": part.optional}
        if "options" in part.options and part.id not in ("model", "detector", "parser"):
            known["choices"] = [getattr(choice, "key", choice) for choice in part.options["options"]]
        inputs.append(known)
    return {"inputs": inputs, "outputs": [{"id": part.id, "type": part.io_type} for part in schema.outputs]}


def test_no_other_pack_has_these_names(pack: Pack) -> None:
    manager = importlib.util.find_spec("comfyui_manager")
    if manager is None or manager.origin is None:
        pytest.skip("needs the ids of all packs: pip install --no-deps comfyui-manager")
    listed = json.loads((Path(manager.origin).parent / "extension-node-map.json").read_text(encoding="utf-8"))
    owners = {name: address for address, (names, _) in listed.items() for name in names}
    assert len(owners) > 10_000
    taken = {name: owners[name] for name in pack.nodes if name in owners and "gpen" not in owners[name].lower()}
    assert not taken


def promised() -> dict[str, Any]:
    return json.loads(SIGNATURES.read_text())


def test_node_signatures_only_grow(pack: Pack) -> None:
    """`PYTHONPATH=.:tests python tests/comfyui/test_pack.py` writes new ones once they are meant."""
    now = {name: signature_of(node) for name, node in pack.nodes.items()}
    for name, before in promised().items():
        assert name in now, f"{name} is gone; saved graphs hold it"
        old, new = before["inputs"], now[name]["inputs"]
        assert [part["id"] for part in new[: len(old)]] == [part["id"] for part in old], (
            f"{name}: inputs are only appended"
        )
        for was, part in zip(old, new, strict=False):
            assert (part["type"], part["optional"]) == (was["type"], was["optional"]), f"{name}.{part['id']}"
            assert set(was.get("choices", ())) <= set(part.get("choices", ())), f"{name}.{part['id']} lost a choice"
        assert all(part["optional"] or "choices" in part or part["type"] in WIDGETS for part in new[len(old) :]), (
            f"{name}: a new input must have a default or be optional"
        )
        assert now[name]["outputs"][: len(before["outputs"])] == before["outputs"], f"{name}: outputs are only appended"
    assert now == promised(), "new signatures are not written down yet: run this file"


WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COMFY_DYNAMICCOMBO_V3"}


def test_every_node_is_named_described_and_found_by_other_words(pack: Pack) -> None:
    for name, node in pack.nodes.items():
        schema = node.GET_SCHEMA()
        assert re.fullmatch(r"GPEN_[A-Za-z]+", name)
        assert schema.display_name
        assert schema.description.endswith(".")
        assert len(schema.search_aliases) >= 2, name
        assert schema.category.split("/")[0] == "GPEN"


def test_ids_of_inputs_and_outputs_differ_as_the_first_v3_cores_want(pack: Pack) -> None:
    for name, node in pack.nodes.items():
        ids = [part.id for part in (*node.GET_SCHEMA().inputs, *node.GET_SCHEMA().outputs)]
        assert len(set(ids)) == len(ids), name


def test_every_input_and_output_has_a_tooltip(pack: Pack) -> None:
    for name, node in pack.nodes.items():
        for part in (*node.GET_SCHEMA().inputs, *node.GET_SCHEMA().outputs):
            assert part.tooltip, f"{name}.{part.id}"
            assert part.tooltip.endswith("."), f"{name}.{part.id}"


def test_every_input_is_an_argument_of_execute_with_the_same_name(pack: Pack) -> None:
    for name, node in pack.nodes.items():
        arguments = inspect.signature(node.execute).parameters
        taken = {name for name, argument in arguments.items() if argument.kind is not argument.VAR_KEYWORD}
        ids = {part.id for part in node.GET_SCHEMA().inputs}
        assert taken <= ids, name
        if "options" in arguments:
            # The rest are options, and each of them is one that the core knows.
            defaults = {p.id: p.options["default"] for p in node.GET_SCHEMA().inputs if p.id not in taken}
            pack.module("nodes.inputs").options_of(defaults)
        elif taken == set(arguments):
            assert ids == taken, name
        for part in node.GET_SCHEMA().inputs:
            if part.optional and part.id in taken:
                assert arguments[part.id].default == part.options.get("default"), f"{name}.{part.id}"


@pytest.mark.parametrize("language", node_texts.WORDS)
def test_every_node_has_a_help_page_with_the_words_of_its_locale(pack: Pack, language: str) -> None:
    """`PYTHONPATH=.:tests python tests/comfyui/test_pack.py` writes the tables."""
    texts = node_texts.locale(language)
    for name, node in pack.nodes.items():
        written = node_texts.page_of(name, language).read_text(encoding="utf-8")
        assert written == node_texts.page(node, written, texts[name], language), name
        for word, _ in node_texts.named_inputs(node.GET_SCHEMA()):
            assert f"`{word}`" in written, f"{name} does not speak of {word}"
    pages = {path.stem for path in (ROOT / "web" / "docs").glob("*.md")}
    assert pages == set(pack.nodes)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translated_help_page_says_as_much_as_the_english_one(pack: Pack, language: str) -> None:
    for name in pack.nodes:
        english, other = (
            node_texts.prose_of(node_texts.page_of(name, spoken).read_text(encoding="utf-8"), spoken)
            for spoken in ("en", language)
        )
        assert english.count("\n\n") == other.count("\n\n") >= 2, f"{name} has other paragraphs in {language}"
        assert set(re.findall(r"`[^`]+`", english)) == set(re.findall(r"`[^`]+`", other)), name
        for one, translated in zip(english.split("\n\n")[1:], other.split("\n\n")[1:], strict=True):
            assert one != translated, f"{name} is not translated to {language}: {one}"


def test_english_texts_are_those_of_the_schemas(pack: Pack) -> None:
    assert node_texts.LOCALE.read_text(encoding="utf-8") == node_texts.english(pack.nodes)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_other_language_names_every_node_and_input(pack: Pack, language: str) -> None:
    texts = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
    assert set(texts) == set(pack.nodes)
    for name, node in pack.nodes.items():
        assert texts[name]["display_name"]
        assert texts[name]["description"]
        ids, named = {word for word, _ in node_texts.named_inputs(node.GET_SCHEMA())}, set(texts[name]["inputs"])
        assert named <= ids, name
        # An option that came later shows its English name until somebody translates it.
        assert ids - named <= set(pack.module("nodes.inputs").option_ids()), name
        assert set(texts[name]["outputs"]) == {str(i) for i in range(len(node.GET_SCHEMA().outputs))}, name
        english = json.loads(node_texts.LOCALE.read_text(encoding="utf-8"))[name]
        for group in ("inputs", "outputs"):
            for key, part in texts[name][group].items():
                assert part["name"]
                assert part["tooltip"], f"{name}.{key}"
                assert part["tooltip"] != english[group][key]["tooltip"], f"{name}.{key} is not translated"


def test_the_root_module_is_only_a_door() -> None:
    tree = ast.parse((ROOT / "__init__.py").read_text())
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imports == []
    namespace = {n.id for node in tree.body if isinstance(node, ast.Assign) for n in node.targets}
    functions = [node.name for node in tree.body if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)]
    assert (namespace, functions) == ({"WEB_DIRECTORY"}, ["comfy_entrypoint"])


def test_only_the_adapter_imports_comfyui() -> None:
    for path in (ROOT / "nodes").glob("*.py"):
        if path.name == "adapter.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            assert not [
                n for n in names if n.split(".")[0] in ("comfy", "comfy_api", "folder_paths", "nodes", "server")
            ]


@pytest.mark.parametrize("name", ["ComfyUI-GPEN", "gpen.v1.2", "gpen"])
def test_the_pack_loads_under_any_folder_name_beside_an_installed_copy(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gpen_core

    install(Engine(tmp_path), monkeypatch)
    path = tmp_path / name
    path.mkdir()
    for part in SHIPPED:
        if part in ("gpen_core", "nodes") or part.endswith(".py"):
            (path / part).symlink_to(ROOT / part)
    module = load_pack(path)
    nodes = nodes_of(module)
    own = sys.modules[f"{module.__name__}.gpen_core"]
    assert own is not gpen_core
    assert len(nodes) == len(promised())
    unload_pack(path)


def test_the_extension_gives_a_new_list_each_time(pack: Pack) -> None:
    async def twice() -> tuple[list[Any], list[Any]]:
        extension = await pack.root.comfy_entrypoint()
        return await extension.get_node_list(), await extension.get_node_list()

    first, second = asyncio.run(twice())
    assert first == second
    assert first is not second


def test_importing_the_nodes_makes_no_file_and_touches_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(tmp_path)
    install(engine, monkeypatch)
    path = tmp_path / "custom_nodes" / "gpen"
    path.mkdir(parents=True)
    for part in SHIPPED:
        if (ROOT / part).exists():
            (path / part).symlink_to(ROOT / part)
    before = sorted(tmp_path.rglob("*"))
    nodes_of(load_pack(path))
    unload_pack(path)
    assert sorted(tmp_path.rglob("*")) == before
    assert engine.loads == []


def test_an_older_comfyui_is_told_which_version_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "comfy_api", ModuleType("comfy_api"))
    monkeypatch.delitem(sys.modules, "comfy_api.latest", raising=False)
    (tmp_path / "gpen").symlink_to(ROOT)
    module = load_pack(tmp_path / "gpen")
    with pytest.raises(ImportError, match=r"need ComfyUI 0\.3\.48 or newer.*update ComfyUI"):
        nodes_of(module)
    unload_pack(tmp_path / "gpen")


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        install(Engine(Path("nowhere")), patch)
        found = nodes_of(load_pack(ROOT))
        SIGNATURES.write_text(json.dumps({name: signature_of(node) for name, node in found.items()}, indent=1) + "\n")
        node_texts.write(found)
