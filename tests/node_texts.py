"""What is written of the nodes beside their schemas, made from these: the English locale and the help pages' tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pack_loader import ROOT

LOCALES = ROOT / "locales"
LOCALE = LOCALES / "en" / "nodeDefs.json"


class Words(NamedTuple):
    """What the tables of a help page are headed by, and what their kinds are called."""

    inputs: str
    outputs: str
    columns: tuple[str, str, str]
    given: tuple[str, str, str]
    kinds: tuple[str, str, str, str, str, str, str]
    default: str
    switch: tuple[str, str]
    optional: str


KINDS = ("FLOAT", "INT", "COMBO", "BOOLEAN", "STRING", "COMFY_DYNAMICCOMBO_V3")
KINDS = (*KINDS, "GPEN_FACES,BOUNDING_BOX,FACE_LANDMARKS,SEGS")
WORDS = {
    "en": Words(
        "Inputs",
        "Outputs",
        ("input", "kind", "what it does"),
        ("output", "kind", "what it is"),
        ("number", "whole number", "choice", "switch", "text", "choice that unfolds", "faces of any kind"),
        "default",
        ("off", "on"),
        "optional",
    ),
    "zh": Words(
        "输入",
        "输出",
        ("输入", "类型", "作用"),
        ("输出", "类型", "内容"),
        ("数值", "整数", "选项", "开关", "文本", "可展开的选项", "任何形式的人脸"),
        "默认",
        ("关", "开"),
        "可选",
    ),
    "ja": Words(
        "入力",
        "出力",
        ("入力", "種類", "働き"),
        ("出力", "種類", "内容"),
        ("数値", "整数", "選択", "スイッチ", "文字列", "展開する選択", "どの形の顔でも"),
        "既定",
        ("オフ", "オン"),
        "任意",
    ),
    "ko": Words(
        "입력",
        "출력",
        ("입력", "종류", "하는 일"),
        ("출력", "종류", "내용"),
        ("숫자", "정수", "선택", "스위치", "글자", "펼쳐지는 선택", "어떤 형태의 얼굴이든"),
        "기본",
        ("끔", "켬"),
        "선택 사항",
    ),
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


def page_of(name: str, language: str = "en") -> Path:
    """Where the page looks for a node's help: by its language first."""
    pages = ROOT / "web" / "docs"
    return pages / f"{name}.md" if language == "en" else pages / name / f"{language}.md"


def prose_of(page: str, language: str = "en") -> str:
    """What somebody wrote of the node, before the tables."""
    return page.partition(f"## {WORDS[language].inputs}")[0].rstrip()


def page(node: Any, written: str, texts: Mapping[str, Any], language: str = "en") -> str:
    """A help page: what is `written` of the node, then the tables of its inputs and outputs.

    texts: the node's entry in the language's locale.
    """
    schema, words = node.GET_SCHEMA(), WORDS[language]
    parts = [prose_of(written, language), "", f"## {words.inputs}", "", *_heads(words.columns)]
    for name, part in named_inputs(schema):
        said = texts["inputs"].get(name, {"name": name, "tooltip": part.tooltip})
        named = f"`{name}`" if language == "en" else f"{said['name']} `{name}`"
        parts.append(f"| {named} | {_kind(part, words)} | {said['tooltip']} |")
    parts += ["", f"## {words.outputs}", "", *_heads(words.given)]
    for index, part in enumerate(schema.outputs):
        said = texts["outputs"][str(index)]
        named = f"`{part.display_name}`" if language == "en" else f"{said['name']} `{part.display_name}`"
        parts.append(f"| {named} | {part.io_type} | {said['tooltip']} |")
    return "\n".join(parts) + "\n"


def _heads(columns: tuple[str, str, str]) -> list[str]:
    return [f"| {' | '.join(columns)} |", "|---|---|---|"]


def _kind(part: Any, words: Words) -> str:
    said = [words.kinds[KINDS.index(part.io_type)] if part.io_type in KINDS else part.io_type]
    default = part.options.get("default")
    if default not in (None, ""):
        said.append(f"{words.default} {words.switch[default] if isinstance(default, bool) else default}")
    return ", ".join([*said, words.optional] if part.optional else said)


def locale(language: str) -> dict[str, Any]:
    """What the language's locale says of each node."""
    texts: dict[str, Any] = json.loads((LOCALES / language / "nodeDefs.json").read_text(encoding="utf-8"))
    return texts


def write(nodes: Mapping[str, Any]) -> None:
    LOCALE.write_text(english(nodes), encoding="utf-8")
    for language in WORDS:
        texts = locale(language)
        for name, node in nodes.items():
            path, said = page_of(name, language), texts[name]
            bare = f"# {said['display_name']}\n\n{said['description']}\n"
            written = path.read_text(encoding="utf-8") if path.is_file() else bare
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(page(node, written, said, language), encoding="utf-8")
