"""Controls made of the fields of options, and the options that their values stand for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import gradio as gr

from ..fields import Option
from ..option_texts import read_named, with_values, written
from ..options import RestoreOptions

#: What stands for None among choices.
_AUTO = "auto"
#: Faces are chosen by clicking them; how many go through the network at once is the machine's affair.
_ELSEWHERE = {"faces", "batch_size"}


def offered() -> dict[str, Option]:
    """By name, the options that have a control."""
    return {name: entry for name, entry in written(RestoreOptions).items() if name not in _ELSEWHERE}


def control(name: str, entry: Option) -> Any:
    """A component of Gradio's for one option."""
    chosen = bool(entry.choices) and entry.container is None
    info = f"{entry.help} {_AUTO if chosen else 'Empty'}: {entry.none}." if entry.none else entry.help
    about = {"label": name.replace("_", " "), "info": info, "elem_id": f"option-{name}", "interactive": True}
    if chosen:
        choices = [_AUTO, *entry.choices] if entry.optional else list(entry.choices)
        return gr.Dropdown(choices, value=_AUTO if entry.optional else entry.default, **about)
    if entry.container is None and entry.kind is bool:
        return gr.Checkbox(value=entry.default, **about)
    if entry.container is None and entry.kind is float and math.isfinite(entry.high) and not entry.optional:
        step = 0.01 if entry.high <= 1 else entry.high / 100
        return gr.Slider(entry.low, entry.high, value=entry.default, step=step, **about)
    plain = entry.container is None and not entry.optional and math.isfinite(entry.default)
    return gr.Textbox(value=f"{entry.default:g}" if plain else "", placeholder=entry.form, max_lines=1, **about)


def options_of(values: Mapping[str, Any]) -> RestoreOptions:
    """The options for the values of controls, by name. Raises ConfigError, naming the one at fault."""
    known, said = written(RestoreOptions), {}
    for name, value in values.items():
        entry = known[name]
        if value is None or (isinstance(value, str) and (not value.strip() or (entry.optional and value == _AUTO))):
            continue
        said[name] = read_named(name, entry, value) if isinstance(value, str) else value
    return with_values(RestoreOptions(), said)
