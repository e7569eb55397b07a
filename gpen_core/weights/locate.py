"""Weights by name: a path, a name in the zoo, or a repository on the Hub, to a file on this machine and its content."""

from __future__ import annotations

import json
import warnings
from os import PathLike
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from ..config import Task
from ..errors import WeightsError
from . import checkpoint, hub, zoo
from .cache import converted_path, sha256_of
from .entry import SUFFIXES, Kind, ZooEntry
from .header import CARD_KEY, CONFIG_KEY, Header, encode
from .tensors import RawFile, is_pickle, read_tensors

Source = str | PathLike[str]


class Located(NamedTuple):
    """A file on this machine, and the zoo's entry for it where it was asked for by name."""

    path: Path
    entry: ZooEntry | None = None


def locate(source: Source, *, kind: Kind | None = None, revision: str | None = None) -> Located:
    """The file that `source` names, fetched if need be: a path, else a name in the zoo, else "owner/repo[/file]".

    kind: what a name in the zoo must be of; None: anything. revision: branch, tag or commit on the Hub.
    Raises WeightsError for an unknown name (it suggests the nearest) or another kind, HubError when a file cannot be
    fetched.
    """
    if source == "":
        raise WeightsError("the model's name is empty; give a path or a name (`gpen models` lists them)")
    path = Path(source).expanduser()
    if path.is_dir():
        return Located(_weights_in(path))
    if path.is_file():
        return Located(path)
    text = str(source)
    entry = None if isinstance(source, PathLike) else zoo.lookup(text)
    if entry is not None:
        if kind not in (None, entry.kind):
            there = ", ".join(zoo.names(kind))
            raise WeightsError(f"{text} is a {entry.kind}, and a {kind} is needed; the zoo has {there}")
        return Located(hub.fetch(entry), entry)
    parts = text.split("/")
    looks_local = isinstance(source, PathLike) or path.is_absolute() or text.startswith((".", "~")) or "\\" in text
    if looks_local or len(parts) == 1 or (len(parts) == 2 and path.suffix.lower() in (*SUFFIXES, ".onnx")):
        if looks_local or path.suffix:
            raise WeightsError(f"there is no file {text}; `gpen models` lists the names that can be fetched")
        zoo.find(text)
    return Located(hub.fetch_repository_file("/".join(parts[:2]), "/".join(parts[2:]) or None, revision=revision))


def _weights_in(folder: Path) -> Path:
    preferred = folder / hub.WEIGHTS_NAME
    if preferred.is_file():
        return preferred
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if len(found) != 1:
        names = ", ".join(p.name for p in found) or "none"
        raise WeightsError(f"{folder} must hold {hub.WEIGHTS_NAME} or one file of weights, it holds {names}; name one")
    return found[0]


def read_checkpoint(located: Located, *, task: Task | None = None, trust_pickle: bool = False) -> checkpoint.Checkpoint:
    """The located file's checkpoint. A pickle is converted once and read from the cache from then on."""
    path, entry = located
    if not is_pickle(path) or not path.is_file():
        raw = _with_config_beside(read_tensors(path), path)
        return checkpoint.interpret(raw, where=str(path), task=task, entry=entry, name=path.stem)
    sha256 = sha256_of(path)
    entry = zoo.with_hash(sha256) or entry
    converted = converted_path(sha256)
    if not converted.is_file():
        raw = read_tensors(path, trust_pickle=trust_pickle)
        found = checkpoint.interpret(raw, where=str(path), task=task, entry=entry, name=path.stem)
        # The card stays out: whether it was known or guessed may differ the next time.
        metadata = encode(Header(found.config, None, checkpoint.tensors_sha256(found.state_dict)))
        if not _keep(converted, RawFile(found.state_dict, metadata)):
            return found
        del raw, found
    raw = read_tensors(converted)
    return checkpoint.interpret(raw, where=str(path), task=task, entry=entry, name=path.stem)


def read_state_dict(located: Located, *, part: str | None = None, trust_pickle: bool = False) -> dict[str, Tensor]:
    """The located file's tensors, finite, in their own types: of any network (detector, parser, discriminator, …).

    part: the wrapper's key to open (`d` of a training checkpoint); a pickle without it is converted once.
    """
    path = located.path
    cache = converted_path(sha256_of(path)) if part is None and is_pickle(path) and path.is_file() else None
    if cache is not None and cache.is_file():
        return read_tensors(cache).tensors
    raw = read_tensors(path, part=part, trust_pickle=trust_pickle)
    for name, tensor in raw.tensors.items():
        if not checkpoint.is_finite(tensor):
            raise WeightsError(f"{name} in {path} holds NaN or infinite values; get the file again")
    if cache is not None:
        tensors = {name: tensor.contiguous() for name, tensor in raw.tensors.items()}
        _keep(cache, RawFile(tensors, {"format": "pt"}))
    return raw.tensors


def _with_config_beside(raw: RawFile, path: Path) -> RawFile:
    """`raw` with what a config.json beside it says, where the file's own header says nothing (the Hub's convention)."""
    beside = path.parent / hub.CONFIG_NAME
    if CARD_KEY in raw.metadata or path.name != hub.WEIGHTS_NAME or not beside.is_file():
        return raw
    try:
        values = json.loads(beside.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WeightsError(f"{beside} is not JSON: {error}") from error
    if not isinstance(values, dict) or values.get("model_type") != "gpen":
        return raw
    found = {
        key: json.dumps(values[name]) for key, name in ((CONFIG_KEY, "config"), (CARD_KEY, "card")) if name in values
    }
    return RawFile(raw.tensors, {**found, **raw.metadata})


def _keep(path: Path, raw: RawFile) -> bool:
    try:
        checkpoint.save_tensors(path, raw.tensors, raw.metadata)
    except WeightsError as error:
        warnings.warn(f"the converted weights are not kept, so every load converts again: {error}", stacklevel=2)
        return False
    return True
