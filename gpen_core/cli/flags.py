"""Flags made of the fields of options: name, kind, choices and help are the field's own."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..fields import Option
from ..option_texts import Options, read, with_values, written


def add_flags(group: argparse._ArgumentGroup, kind: type, *, but: Collection[str] = ()) -> None:
    """Adds a flag for each field of an options dataclass, `but` for these; None stands for what was not said."""
    for name, entry in written(kind, parts=False).items():
        if entry.name not in but:
            group.add_argument(_flag(name), default=None, help=help_of(entry), **_kind(entry))


def with_flags(options: Options, arguments: argparse.Namespace) -> Options:
    """`options` with what the command line says of them and of their parts. Raises ConfigError."""
    # No option is a path: a painted mask is said by the flag that also says the options' kind of mask.
    said = {name: value for name, value in vars(arguments).items() if not isinstance(value, Path | None)}
    return with_values(options, said, shown=_flag)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def help_of(entry: Option) -> str:
    """What a flag's help says of its field."""
    said = entry.help.removesuffix(".")
    if not said[1:2].isupper() and said.split(":")[0] not in entry.choices:
        said = said[0].lower() + said[1:]
    notes = []
    if entry.kind in (int, float) and math.isfinite(entry.high):
        notes.append(f"{entry.low:g} to {entry.high:g}")
    if entry.default is None:
        notes.append(f"default: {entry.none}")
    elif entry.container is None and entry.kind is not bool and entry.default != math.inf:
        notes.append(f"default {f'{entry.default:.4g}' if entry.kind is float else entry.default}")
    elif entry.default is True:
        notes.append("default: yes")
    return (said + (f" ({'; '.join(notes)})" if notes else "")).replace("%", "%%")


def _kind(entry: Option) -> dict[str, Any]:
    """What argparse is told of the values."""
    if entry.kind is bool:
        return {"action": argparse.BooleanOptionalAction if entry.default else "store_true"}
    if entry.kind in (int, float) and entry.container is None and entry.form != "TIME":
        return {"type": entry.kind, **({"metavar": entry.form} if entry.form else {})}
    shown = f"{{{','.join(entry.choices)}}}" if entry.choices and entry.container is None else entry.form
    return {"type": lambda text: _argument(entry, text), **({"metavar": shown} if shown else {})}


def ranged(kind: type, low: float, high: float = math.inf) -> Callable[[str], Any]:
    """What argparse is told of a number that is no field of options: an int or float, both ends allowed."""
    said: dict[str, Any] = {"help": "", "form": "", "none": "", "choices": (), "container": None, "optional": False}
    entry = Option(name="", default=None, kind=kind, low=low, high=high, **said)

    def number(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = text
        try:
            return entry.checked(value, "it")
        except ConfigError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return number


def _argument(entry: Option, text: str) -> Any:
    try:
        value = read(entry, text)
        return entry.checked(value, "it") if entry.choices and entry.container is None else value
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
