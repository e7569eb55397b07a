"""TOML tables into dataclasses, with errors that name the key and the nearest one that exists."""

from __future__ import annotations

import math
import sys
import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ..errors import ConfigError
from ..fields import nearest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Record = TypeVar("Record")


def read_toml(path: Path) -> dict[str, Any]:
    """The file's tables. Raises ConfigError with the line that cannot be parsed."""
    try:
        with path.open("rb") as file:
            values: dict[str, Any] = tomllib.load(file)
            return values
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from error


def fill(kind: type[Record], values: Mapping[str, Any], where: str = "") -> Record:
    """The dataclass `kind` from plain values, its tables filled likewise; where: dotted place, for messages."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where} is {values!r}; it must be a table")
    hints = get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    given: dict[str, Any] = {}
    for key, value in values.items():
        place = f"{where}.{key}" if where else key
        if key not in known:
            near = nearest(key, known)
            hint = f"did you mean {near}?" if near else f"known here: {', '.join(known)}"
            raise ConfigError(f"the recipe has an unknown key {place}; {hint}")
        given[key] = _fit(value, hints[key], place)
    for name, entry in known.items():
        if name not in given and entry.default is MISSING and entry.default_factory is MISSING:
            raise ConfigError(f"the recipe lacks {f'{where}.{name}' if where else name}")
    try:
        return kind(**given)
    except ConfigError as error:
        raise ConfigError(f"[{where}] {error}" if where else str(error)) from error


def _fit(value: Any, hint: Any, place: str) -> Any:
    if hint is Any:
        return value
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        hint = next(h for h in get_args(hint) if h is not type(None))
        origin = get_origin(hint)
    if origin is Literal:
        if value not in get_args(hint):
            raise ConfigError(f"{place} is {value!r}; it must be one of {', '.join(map(str, get_args(hint)))}")
        return value
    if is_dataclass(hint) and isinstance(hint, type):
        return fill(hint, value, place)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise ConfigError(f"{place} is {value!r}; it must be a table")
        return {str(key): _fit(entry, get_args(hint)[1], f"{place}.{key}") for key, entry in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        wanted = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
        raise ConfigError(f"{place} is {value!r}; it must be {wanted.get(hint, hint.__name__)}")
    if hint is float and not math.isfinite(value):
        raise ConfigError(f"{place} is {value}; it must be a finite number")
    return value


def parse_value(text: str) -> Any:
    """A value as TOML reads it (4, 0.5, true, "text"); anything else is the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def at_least(recipe: Any, least: float, *names: str) -> None:
    """Raises ConfigError for the first of the named values of `recipe` that is below `least`, or no number."""
    for name in names:
        value = getattr(recipe, name)
        if not value >= least:
            raise ConfigError(f"{name} is {value}; it must be at least {least:g}")
