"""Fields of options that say themselves once: range, choices and help; checks, flags and node inputs are made of it."""

from __future__ import annotations

import difflib
import math
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from functools import cache, wraps
from numbers import Integral, Real
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import ConfigError

Kind = TypeVar("Kind", bound=type)

_KEY = "option"
#: Of a refused value, this many characters are shown.
_LONGEST = 120


def option(
    default: Any, *, help: str, low: float = -math.inf, high: float = math.inf, form: str = "", none: str = ""
) -> Any:
    """A dataclass field.

    help: sentences for whoever sets it. low, high: ends of its range, both allowed; of each entry where it holds
    several. form: how a value is written at the shell, such as PX. none: what None stands for. A class as `default`
    makes the field's value.
    """
    said = {"help": help, "low": low, "high": high, "form": form, "none": none}
    return (
        field(default_factory=default, metadata={_KEY: said})
        if callable(default)
        else field(default=default, metadata={_KEY: said})
    )


@dataclass(frozen=True, kw_only=True)
class Option:
    """What a field says of itself, as `option` has it, and what its type says.

    kind: bool, int, float, str or a dataclass. container: tuple or dict where it holds several of that kind; a dict's
    keys are its choices, else whole numbers. choices: empty where any will do. optional: None is allowed.
    """

    name: str
    default: Any
    kind: type
    container: type | None
    choices: tuple[str, ...]
    optional: bool
    help: str
    low: float
    high: float
    form: str
    none: str

    @property
    def expected(self) -> str:
        """What its value is to be, in words."""
        if self.choices and self.container is None:
            return f"one of {', '.join(self.choices)}"
        if self.kind is bool:
            return "true or false"
        one = {int: "a whole number", float: "a number", str: "a text"}.get(self.kind, f"a {self.kind.__name__}")
        if self.container is not None:
            one = one.removeprefix("a ") + "s"
        if math.isfinite(self.low):
            one += f" from {self.low:g} to {self.high:g}" if math.isfinite(self.high) else f" of at least {self.low:g}"
        if self.container is dict:
            return f"{one}, each for {'one of ' + ', '.join(self.choices) if self.choices else 'the number of a face'}"
        return one

    def checked(self, value: Any, name: str = "") -> Any:
        """`value` as this field keeps it. name: by which it was given, for messages. Raises ConfigError."""
        if value is None and self.optional:
            return None
        try:
            return self._kept(value)
        except (TypeError, ValueError, OverflowError) as error:
            near = "" if self.container else nearest(str(value), self.choices)
            said = f"{name or self.name} is {_shown(value)}; expected {self.expected}"
            said += (", or None" if self.optional else "") + (f"; did you mean {near}?" if near else "")
            raise ConfigError(said) from error

    def _kept(self, value: Any) -> Any:
        if self.container is tuple:
            if isinstance(value, str):
                raise TypeError
            return tuple(self._one(entry) for entry in value)
        if self.container is dict:
            return types.MappingProxyType({self._key(key): self._one(entry) for key, entry in dict(value).items()})
        if self.choices and value not in self.choices:
            raise ValueError
        return self._one(value)

    def _key(self, key: Any) -> Any:
        if self.choices and key not in self.choices:
            raise ValueError
        return key if self.choices else _number(key, int, 0, math.inf)

    def _one(self, value: Any) -> Any:
        if self.kind in (int, float):
            return _number(value, self.kind, self.low, self.high)
        if self.kind is bool and type(value).__name__ in ("bool", "bool_"):  # NumPy's as well
            return bool(value)
        if self.kind is bool or not isinstance(value, self.kind):
            raise TypeError
        return value


def _shown(value: Any) -> str:
    shown = " ".join(repr(value).split())
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"


def _number(value: Any, kind: Any, low: float, high: float) -> Any:
    if isinstance(value, bool) or not isinstance(value, Integral if kind is int else Real):
        raise TypeError
    if not low <= float(value) <= high:  # NaN is neither
        raise ValueError
    return kind(value)


def described(kind: Any) -> Mapping[str, Option]:
    """The options among the fields of a dataclass, by name, in their order."""
    return _described(kind)


@cache
def _described(kind: Any) -> Mapping[str, Option]:
    hints = get_type_hints(kind)
    return {entry.name: _described_field(entry, hints[entry.name]) for entry in fields(kind) if _KEY in entry.metadata}


def _described_field(entry: Field[Any], hint: Any) -> Option:
    parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    optional = type(None) in parts
    (hint,) = (part for part in parts if part is not type(None))
    container = {tuple: tuple, Mapping: dict}.get(get_origin(hint))
    key, hint = (get_args(hint)[0], get_args(hint)[-1 if container is dict else 0]) if container else (int, hint)
    choosing = key if container is dict else hint
    choices = get_args(choosing) if get_origin(choosing) is Literal else ()
    return Option(
        name=entry.name,
        default=entry.default if entry.default_factory is MISSING else entry.default_factory(),
        kind=str if get_origin(hint) is Literal else hint,
        container=container,
        choices=choices,
        optional=optional,
        **entry.metadata[_KEY],
    )


def check(options: Any) -> None:
    """Checks every option of a dataclass by what it says, and keeps it in its own kind: for `__post_init__`.

    Raises ConfigError that names the option, its value and what was expected.
    """
    for name, entry in described(type(options)).items():
        object.__setattr__(options, name, entry.checked(getattr(options, name)))


def by_name(kind: Kind) -> Kind:
    """The dataclass `kind`, made to refuse what it has no field for by ConfigError: it names the nearest field, those
    of nested parts as well.
    """
    made: Callable[..., None] = vars(kind)["__init__"]
    known = [field.name for field in fields(kind)]

    @wraps(made)
    def __init__(self: Any, *unnamed: Any, **given: Any) -> None:
        if unnamed:
            raise ConfigError(f"{kind.__name__} is made of named values; expected such as {known[0]}=…")
        for name in given:
            if name not in known:
                raise ConfigError(f"{kind.__name__} has no {name}; {_instead(kind, name, known)}")
        made(self, **given)

    kind.__init__ = __init__  # type: ignore[misc]
    return kind


def _instead(kind: type, name: str, known: Iterable[str]) -> str:
    places = _places(kind)
    near = name if name in places else nearest(name, known) or nearest(name, places)
    return f"did you mean {places[near]}?" if near else f"it has {', '.join(known)}"


def _places(kind: type) -> dict[str, str]:
    """Each field of `kind`, and of the parts among them, and how it is written to `kind`."""
    own = {field.name: field.name for field in fields(kind)}
    parts = [(name, entry.kind) for name, entry in described(kind).items() if is_dataclass(entry.kind)]
    inner = {field.name: f"{part}={made.__name__}({field.name}=…)" for part, made in parts for field in fields(made)}
    return {**inner, **own}


def changed(options: Any, where: str = "") -> dict[str, Any]:
    """The options, also those of nested parts, that are not at their defaults, by dotted name."""
    found: dict[str, Any] = {}
    for name, entry in described(type(options)).items():
        value = getattr(options, name)
        if is_dataclass(value):
            found |= changed(value, f"{where}{name}.")
        elif value != entry.default:
            found[f"{where}{name}"] = value
    return found


def plain(value: Any) -> Any:
    """Options as JSON values, for the report and for comparing a resumed run with its first part."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return None if value in (float("inf"), float("-inf")) else value


def refuse(options: Any, names: Iterable[str], why: str) -> None:
    """Raises ConfigError, naming them, for those of `names` (dotted) that are not at their defaults."""
    said = changed(options)
    if named := [name.rpartition(".")[-1] for name in names if name in said]:
        raise ConfigError(f"{', '.join(named)}: {why}")


def nearest(word: str, known: Iterable[str]) -> str:
    """The name among `known` that `word` was likely meant to be; empty where none is near."""
    return next(iter(difflib.get_close_matches(word, list(known), 1)), "")
