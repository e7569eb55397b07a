"""Flags made of the fields of options: name, kind, choices and help are the field's own."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Collection
from dataclasses import is_dataclass, replace
from typing import Any, TypeVar

from ..errors import ConfigError
from ..fields import Option, described

Options = TypeVar("Options")

#: Field → flag, where they differ.
_CALLED = {
    "indices": "faces",
    "longest_side": "detect_size",
    "kind": "mask",
    "quality": "crf",
    "start": "from",
    "end": "to",
}
#: What nobody sets at the shell by itself: --reference does, or the verb.
_WITHOUT = {"least_feather", "eight_bits", "keep_crops", "resume", "overwrite", "allow_truncated", "smoothing"}


def add_flags(group: argparse._ArgumentGroup, kind: type, *, but: Collection[str] = ()) -> None:
    """Adds a flag for each field of an options dataclass, `but` for these; None stands for what was not said."""
    for name, entry in described(kind).items():
        if name not in _WITHOUT and name not in but and not is_dataclass(entry.kind):
            group.add_argument(f"--{_flag(name).replace('_', '-')}", default=None, help=help_of(entry), **_kind(entry))


def with_flags(options: Options, arguments: argparse.Namespace) -> Options:
    """`options` with what the command line says of them and of their parts. Raises ConfigError."""
    given: dict[str, Any] = {}
    for name, entry in described(type(options)).items():
        if is_dataclass(entry.kind):
            given[name] = with_flags(getattr(options, name), arguments)
        elif name not in _WITHOUT and (value := getattr(arguments, _flag(name), None)) is not None:
            given[name] = entry.checked(value, f"--{_flag(name).replace('_', '-')}")
    changed: Options = replace(options, **given)  # type: ignore[type-var]
    return changed


def _flag(name: str) -> str:
    return _CALLED.get(name, name)


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
    if entry.container is not None:
        read = _whole_numbers if entry.container is tuple else _named if entry.choices else _numbered
        return {"type": read, "metavar": entry.form}
    if entry.choices:
        return {"type": lambda text: _chosen(entry, text), "metavar": f"{{{','.join(entry.choices)}}}"}
    kind = _seconds if entry.form == "TIME" else entry.kind
    return {"type": kind, **({"metavar": entry.form} if entry.form else {})}


def _seconds(text: str) -> float:
    """Seconds of a time such as 90, 1:30 or 0:01:30.5."""
    parts, seconds = text.split(":"), 0.0
    try:
        for part in parts:
            seconds = 60 * seconds + float(part)
    except ValueError:
        seconds = math.nan
    if len(parts) > 3 or not 0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no time; expected seconds, or hours:minutes:seconds")
    return seconds


def _chosen(entry: Option, text: str) -> str:
    try:
        chosen: str = entry.checked(text, "it")
        return chosen
    except ConfigError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _whole_numbers(text: str) -> tuple[int, ...]:
    return tuple(_read(int, part, text) for part in text.split(","))


def _numbered(text: str) -> dict[int, float]:
    return {_read(int, key, text): value for key, value in _named(text).items()}


def _named(text: str) -> dict[str, float]:
    pairs = [part.partition("=") for part in text.split(",")]
    return {key.strip(): _read(float, value, text) for key, _, value in pairs}


def _read(kind: Callable[[str], Any], part: str, whole: str) -> Any:
    try:
        return kind(part)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{part!r} in {whole!r} is not a number") from None
