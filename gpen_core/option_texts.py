"""Options written as text, at the shell, in an address or on a form: what they are called there, and values read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass, replace
from typing import Any, TypeVar

from .errors import ConfigError
from .fields import Option, described, nearest

Options = TypeVar("Options")

#: Field → its name as text, where they differ.
_CALLED = {
    "indices": "faces",
    "longest_side": "detect_size",
    "kind": "mask",
    "quality": "crf",
    "start": "from",
    "end": "to",
}
#: What nobody sets as text by itself: --reference does, or the verb.
WITHOUT = {"least_feather", "eight_bits", "keep_crops", "resume", "overwrite", "allow_truncated", "smoothing"}
_YES, _NO = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def name_of(field: str) -> str:
    """What a field of the options is called as text."""
    return _CALLED.get(field, field)


def written(kind: type, *, parts: bool = True) -> dict[str, Option]:
    """By its name as text, every option that can be set so; parts: also those of nested parts."""
    found: dict[str, Option] = {}
    for field, entry in described(kind).items():
        if is_dataclass(entry.kind):
            found |= written(entry.kind) if parts else {}
        elif field not in WITHOUT:
            found[name_of(field)] = entry
    return found


def read(entry: Option, text: str) -> Any:
    """The value that `text` stands for, not yet checked against its range. Raises ConfigError."""
    if entry.kind is bool:
        word = text.strip().lower()
        if word not in _YES + _NO:
            raise ConfigError(f"{name_of(entry.name)} is {text!r}; expected true or false")
        return word in _YES
    if entry.container is tuple:
        return tuple(_number(int, part, text) for part in text.split(","))
    if entry.container is dict:
        pairs = {key: _number(float, value, text) for key, value in _pairs(text)}
        return pairs if entry.choices else {_number(int, key, text): value for key, value in pairs.items()}
    if entry.form == "TIME":
        return _seconds(text)
    return text if entry.kind is str else _number(entry.kind, text, text)


def read_named(name: str, entry: Option, text: str) -> Any:
    """As `read`, for a value that comes without its flag: a ConfigError names the option, and what was expected."""
    try:
        return read(entry, text)
    except ConfigError as error:
        raise ConfigError(f"{name} is {text!r}; expected {entry.expected}") from error


def with_values(options: Options, values: Mapping[str, Any], *, shown: Callable[[str], str] = str) -> Options:
    """`options` with these values, by their names as text, in them and in their parts; other names are passed over.

    shown: what a name is called in messages. Raises ConfigError.
    """
    given: dict[str, Any] = {}
    for field, entry in described(type(options)).items():
        if is_dataclass(entry.kind):
            if (part := with_values(getattr(options, field), values, shown=shown)) is not getattr(options, field):
                given[field] = part
        elif field not in WITHOUT and (name := name_of(field)) in values:
            given[field] = entry.checked(values[name], shown(name))
    changed: Options = replace(options, **given) if given else options  # type: ignore[type-var]
    return changed


def with_texts(options: Options, texts: Mapping[str, str]) -> Options:
    """`options` with what these texts say. Raises ConfigError, also for a name that there is not."""
    known = written(type(options))
    for name in texts:
        if name not in known:
            near = nearest(name, known)
            said = f"did you mean {near}?" if near else f"there are {', '.join(sorted(known))}"
            raise ConfigError(f"there is no option {name}; {said}")
    return with_values(options, {name: read_named(name, known[name], text) for name, text in texts.items()})


def _pairs(text: str) -> list[tuple[str, str]]:
    pairs = [part.partition("=") for part in text.split(",")]
    return [(key.strip(), value) for key, _, value in pairs]


def _seconds(text: str) -> float:
    """Seconds of a time such as 90, 1:30 or 0:01:30.5."""
    parts, seconds = text.split(":"), 0.0
    try:
        for part in parts:
            seconds = 60 * seconds + float(part)
    except ValueError:
        seconds = math.nan
    if len(parts) > 3 or not 0 <= seconds < math.inf:
        raise ConfigError(f"{text!r} is no time; expected seconds, or hours:minutes:seconds")
    return seconds


def _number(kind: type, part: str, whole: str) -> Any:
    try:
        return kind(part)
    except ValueError:
        where = "" if part == whole else f" in {whole!r}"
        raise ConfigError(f"{part!r}{where} is not a number") from None
