"""Weights by name: a path, a name in the zoo, a repository on the Hub; to a file on this machine."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError, WeightsError
from . import zoo
from .cache import Watch
from .entry import SUFFIXES, Kind, ZooEntry
from .fetching import fetch
from .hub import WEIGHTS_NAME, fetch_repository_file

Source = str | PathLike[str]


class Located(NamedTuple):
    """A file on this machine, and the zoo's entry for it where it was asked for by name."""

    path: Path
    entry: ZooEntry | None = None


def locate(
    source: Source, *, kind: Kind | None = None, revision: str | None = None, watch: Watch | None = None
) -> Located:
    """The file that `source` names, fetched if need be: a path, else a name in the zoo, else "owner/repo[/file]".

    kind: what a name in the zoo must be of; None: anything. revision: branch, tag or commit on the Hub. watch: told how
    far a download is.
    Raises WeightsError for an unknown name (it suggests the nearest) or another kind, InputError for the revision of
    what is no repository, HubError when a file cannot be fetched.
    """
    if not isinstance(source, str | PathLike):
        raise InputError(f"a model is given by its path or name, not as {type(source).__name__}")
    text = str(source)
    if not text or not text.isprintable():
        raise WeightsError("the model's name is empty or no text; give a path or a name (`gpen models` lists them)")
    try:
        path = Path(source).expanduser()
        if path.is_dir() or path.is_file():
            _check_revision(revision, f"{text} lies on this machine")
            return Located(_weights_in(path) if path.is_dir() else path)
    except (OSError, RuntimeError) as error:  # too long a name, a folder that may not be read, no such home
        raise WeightsError(
            f"{text[:120]} cannot be looked for: {error}; give a path or a name of `gpen models`"
        ) from error
    entry = None if isinstance(source, PathLike) else zoo.lookup(text)
    if entry is not None:
        if kind not in (None, entry.kind):
            there = ", ".join(zoo.names(kind))
            raise WeightsError(f"{text} is a {entry.kind}, and a {kind} is needed; the zoo has {there}")
        _check_revision(revision, f"{text} is a name in the zoo")
        return Located(fetch(entry, watch=watch), entry)
    parts = text.split("/")
    looks_local = isinstance(source, PathLike) or path.is_absolute() or text.startswith((".", "~")) or "\\" in text
    looks_local = looks_local or (path.suffix.lower() in SUFFIXES and Path(parts[0]).is_dir())
    if looks_local or len(parts) == 1 or (len(parts) == 2 and path.suffix.lower() in (*SUFFIXES, ".onnx")):
        if looks_local or path.suffix:
            raise WeightsError(f"there is no file {text}; `gpen models` lists the names that can be fetched")
        zoo.find(text)
    repo, file = "/".join(parts[:2]), "/".join(parts[2:]) or None
    return Located(fetch_repository_file(repo, file, revision=revision, watch=watch))


def locate_one(source: Source, *, kind: Kind | None = None) -> Located:
    """As `locate`, for who needs one network. Raises WeightsError for a name that stands for two."""
    located = locate(source, kind=kind)
    entry = located.entry
    if entry is not None and entry.larger is not None:
        raise WeightsError(
            f"{entry.name} is two networks, {Path(entry.file).stem} and {entry.larger}; name one of them"
        )
    return located


def _check_revision(revision: str | None, reason: str) -> None:
    if revision is not None:
        raise InputError(f"revision {revision} is of a repository on the Hub, and {reason}; leave it out")


def _weights_in(folder: Path) -> Path:
    preferred = folder / WEIGHTS_NAME
    if preferred.is_file():
        return preferred
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if len(found) != 1:
        names = ", ".join(p.name for p in found) or "none"
        raise WeightsError(f"{folder} must hold {WEIGHTS_NAME} or one file of weights, it holds {names}; name one")
    return found[0]
