"""Weights by name: a path, a name in the zoo, a repository on the Hub; to a file on this machine, checked by hash."""

from __future__ import annotations

import inspect
import logging
import re
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import HashMismatchError, HubError, InputError, WeightsError, to_keep
from . import zoo
from .cache import Watch, bar_of, download, fetched_folder, forget, sha256_of, silent_client
from .entry import SUFFIXES, HubPlace, Kind, Place, ZooEntry
from .network import unreachable

logger = logging.getLogger(__name__)

WEIGHTS_NAME = "model.safetensors"
CONFIG_NAME = "config.json"
README_NAME = "README.md"

Source = str | PathLike[str]


class Located(NamedTuple):
    """A file on this machine, and the zoo's entry for it where it was asked for by name."""

    path: Path
    entry: ZooEntry | None = None


def locate(source: Source, *, kind: Kind | None = None, revision: str | None = None) -> Located:
    """The file that `source` names, fetched if need be: a path, else a name in the zoo, else "owner/repo[/file]".

    kind: what a name in the zoo must be of; None: anything. revision: branch, tag or commit on the Hub.
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
        return Located(fetch(entry), entry)
    parts = text.split("/")
    looks_local = isinstance(source, PathLike) or path.is_absolute() or text.startswith((".", "~")) or "\\" in text
    if looks_local or len(parts) == 1 or (len(parts) == 2 and path.suffix.lower() in (*SUFFIXES, ".onnx")):
        if looks_local or path.suffix:
            raise WeightsError(f"there is no file {text}; `gpen models` lists the names that can be fetched")
        zoo.find(text)
    return Located(fetch_repository_file("/".join(parts[:2]), "/".join(parts[2:]) or None, revision=revision))


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


def cached(entry: ZooEntry) -> Path | None:
    """Where the entry's file already lies on this machine, whole and right; None: nowhere. No network is asked."""
    if entry.bundled_path is not None and entry.bundled_path.is_file():
        return entry.bundled_path
    found = (_cached_at(entry, place) for place in entry.places)
    return next((path for path in found if path is not None and _is_right(path, entry)), None)


def fetch(entry: ZooEntry, *, watch: Watch | None = None) -> Path:
    """The entry's file: from the cache, else from the first of its places that has the right one.

    Its hash is checked once and remembered (a wrong file is removed, the next place tried); where none is known, the
    found one is logged. watch: told how far a download is. Raises HubError with the reason of every place,
    HashMismatchError where all there was had other content.
    """
    from huggingface_hub import constants

    found = cached(entry)
    if found is not None:
        return found
    if not entry.places:
        raise HubError(
            f"{entry.name} ships with the package, but this copy lacks {entry.bundled}: "
            "reinstall gpen, or name another model (`gpen models`)"
        )
    for place in entry.places:
        # Damaged since, or another program's: taken away, or it would pass for fetched.
        left = _cached_at(entry, place)
        if left is not None:
            _remove(left)
    remedy = f"check the network, or put {entry.file} on this machine and give its path"
    hosts = "" if constants.HF_HUB_OFFLINE else unreachable(entry.places)
    if hosts:
        raise HubError(f"{entry.name} cannot be fetched; {remedy} ({hosts} cannot be reached)")
    failures: list[HubError] = []
    for place in entry.places:
        try:
            path = _fetch_from(entry, place, watch)
            _check(path, entry, place)
        except HubError as error:
            logger.info("%s: %s", entry.name, error)
            failures.append(to_keep(error))
        else:
            return path
    tried = "" if len(failures) == 1 else f"{len(failures)} places tried, the first: "
    kind = HashMismatchError if all(isinstance(error, HashMismatchError) for error in failures) else HubError
    raise kind(f"{entry.name} cannot be fetched; {remedy} ({tried}{failures[0]})")


def fetch_repository_file(repo: str, file: str | None = None, *, revision: str | None = None) -> Path:
    """A file of a repository on the Hub, from the cache if the Hub cannot be reached.

    file: None finds the weights: model.safetensors, else the only file of weights there is. revision: branch, tag,
    commit. Raises HubError.
    """
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repo, re.ASCII):
        raise HubError(f"{repo!r} is no repository on the Hub; repositories are called owner/name")
    if revision is not None:
        _check_inside(revision, "revision")
    if file is None:
        files = repository_files(repo, revision=revision)
        file = _weights_of(repo, files)
        if CONFIG_NAME in files and file == WEIGHTS_NAME:
            _from_hub(HubPlace(repo=repo, path=CONFIG_NAME, revision=revision or "main"))
    _check_inside(file, "file")
    return _from_hub(HubPlace(repo=repo, path=file, revision=revision or "main"))


def _check_inside(name: str, kind: str) -> None:
    """Raises HubError for a name that leads out of the repository, or into another place of the cache."""
    parts = name.split("/")
    if not name.isprintable() or "\\" in name or ":" in name or not all(part.strip(".") for part in parts):
        raise HubError(f"{name[:120]!r} is no {kind} of a repository; give its name as the Hub shows it")


def _weights_of(repo: str, files: list[str]) -> str:
    if WEIGHTS_NAME in files:
        return WEIGHTS_NAME
    weights = [name for name in files if name.lower().endswith(SUFFIXES)]
    if len(weights) == 1:
        return weights[0]
    if not weights:
        raise HubError(f"{repo} holds no file of weights; it holds {', '.join(files[:6]) or 'nothing'}")
    raise HubError(f"{repo} holds several files of weights: {', '.join(weights[:8])}; name one as {repo}/FILE")


def repository_files(repo: str, *, revision: str | None = None) -> list[str]:
    """The names of the files in a repository; those in the cache, if the Hub cannot be reached."""
    from huggingface_hub import HfApi, constants, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    what = f"{repo}{f' at {revision}' if revision else ''}"
    unreached: Exception | None = None
    try:
        if not constants.HF_HUB_OFFLINE and not unreachable([HubPlace(repo=repo, path="")]):
            with silent_client():
                return sorted(HfApi().list_repo_files(repo, revision=revision))
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise HubError(explain(error, what)) from error
    except transport_errors() as error:
        unreached = error
    try:
        folder = Path(snapshot_download(repo, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError as error:
        raise HubError(explain(unreached or error, what)) from error
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def transport_errors() -> tuple[type[Exception], ...]:
    """What the Hub's client raises when a request fails; its HTTP library has changed from version to version."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    libraries = tuple(
        c for c in HfHubHTTPError.__mro__ if c.__module__.split(".")[0] in ("httpx2", "httpx", "requests")
    )
    return (OSError, HFValidationError, HfHubHTTPError, *libraries)


def explain(error: Exception, what: str) -> str:
    """One line on why `what` could not be had from, or given to, the Hub, with the remedy."""
    from huggingface_hub import constants
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, GatedRepoError):
        return f"{what} is gated: accept its terms on the Hub, then set HF_TOKEN"
    if isinstance(error, RevisionNotFoundError):
        return f"{what}: the repository has no such revision"
    if isinstance(error, RepositoryNotFoundError) or status in (401, 403):
        return (
            f"{what} is not there or private: check the name, and set HF_TOKEN (or run `hf auth login`) if it is yours"
        )
    if isinstance(error, LocalEntryNotFoundError):
        if constants.HF_HUB_OFFLINE:
            return f"{what} is not in the cache and HF_HUB_OFFLINE is set: unset it once to fetch the file"
        if isinstance(error.__cause__, HfHubHTTPError):
            return explain(error.__cause__, what)
        return f"{what}: {constants.ENDPOINT} cannot be reached; check the network, or set HF_ENDPOINT to a mirror"
    if isinstance(error, EntryNotFoundError):
        return f"{what}: the repository has no such file"
    if isinstance(error, HfHubHTTPError) and status is not None:
        return f"{what}: {constants.ENDPOINT} answers {status}; try again later"
    first = str(error).strip().splitlines()
    return f"{what}: {first[0] if first else type(error).__name__}"


def _cached_at(entry: ZooEntry, place: Place) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    if isinstance(place, HubPlace):
        found = try_to_load_from_cache(place.repo, place.path, revision=place.revision)
        return Path(found) if isinstance(found, str) else None
    path = fetched_folder() / entry.file
    return path if path.is_file() else None


def _fetch_from(entry: ZooEntry, place: Place, watch: Watch | None) -> Path:
    if isinstance(place, HubPlace):
        return _from_hub(place, watch)
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise HubError(f"{place} is not asked, as HF_HUB_OFFLINE is set")
    if unreachable([place]):
        raise HubError(f"{place} cannot be reached")
    return download(place.url, fetched_folder() / entry.file, size=entry.size, watch=watch)


def _from_hub(place: HubPlace, watch: Watch | None = None) -> Path:
    from huggingface_hub import constants, hf_hub_download

    there = constants.HF_HUB_OFFLINE or not unreachable([place])
    try:
        # Older versions of the library take no bar; theirs is shown then.
        takes_one = "tqdm_class" in inspect.signature(hf_hub_download).parameters
        told: Any = {"tqdm_class": bar_of(watch)} if watch is not None and takes_one else {}
        with silent_client():
            path = hf_hub_download(
                place.repo,
                place.path,
                revision=place.revision,
                library_name="gpen",
                local_files_only=not there,
                **told,
            )
            return Path(path)
    except transport_errors() as error:
        raise HubError(explain(error, str(place))) from error


def _check(path: Path, entry: ZooEntry, place: Place) -> None:
    if entry.sha256 is None:
        sha256 = sha256_of(path)
        logger.warning(
            "%s from %s has sha256 %s, which nobody vouches for: it is read as data only", path, place, sha256
        )
    elif not _is_right(path, entry):
        sha256 = sha256_of(path)
        _remove(path)
        raise HashMismatchError(f"{place} has other content (sha256 {sha256[:12]}… instead of {entry.sha256[:12]}…)")


def _is_right(path: Path, entry: ZooEntry) -> bool:
    return entry.sha256 is None or sha256_of(path) == entry.sha256


def _remove(path: Path) -> None:
    forget(path)
    # In the Hub's cache the name is a link to the content; both go, or the content would be taken again.
    path.resolve().unlink(missing_ok=True)
    path.unlink(missing_ok=True)
