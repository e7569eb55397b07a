"""Repositories on the Hugging Face Hub: their files, and what to say where they cannot be had."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from ..errors import HubError
from .cache import Watch, bar_of, silent_client
from .entry import SUFFIXES, HubPlace
from .network import Servers

WEIGHTS_NAME = "model.safetensors"
CONFIG_NAME = "config.json"
README_NAME = "README.md"


def fetch_repository_file(
    repo: str, file: str | None = None, *, revision: str | None = None, watch: Watch | None = None
) -> Path:
    """A file of a repository on the Hub, from the cache if the Hub cannot be reached.

    file: None finds the weights: model.safetensors, else the only file of weights there is. revision: branch, tag,
    commit. watch: told how far the download is. Raises HubError.
    """
    if not re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", repo, re.ASCII):
        raise HubError(f"{repo!r} is no repository on the Hub; repositories are called owner/name")
    if revision is not None:
        _check_inside(revision, "revision")
    if file is not None:
        _check_inside(file, "file")
    servers = Servers([_root(repo)])
    if file is None:
        files = repository_files(repo, revision=revision, servers=servers)
        file = _weights_of(repo, files)
        if CONFIG_NAME in files and file == WEIGHTS_NAME:
            from_hub(HubPlace(repo=repo, path=CONFIG_NAME, revision=revision or "main"), servers)
        _check_inside(file, "file")
    return from_hub(HubPlace(repo=repo, path=file, revision=revision or "main"), servers, watch)


def _root(repo: str) -> HubPlace:
    return HubPlace(repo=repo, path="")


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


def repository_files(repo: str, *, revision: str | None = None, servers: Servers | None = None) -> list[str]:
    """The names of the files in a repository; those in the cache, if the Hub cannot be reached.

    servers: where the Hub has been knocked at already.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    what = f"{repo}{f' at {revision}' if revision else ''}"
    unreached: Exception | None = None
    servers = servers or Servers([_root(repo)])
    try:
        if servers.reach(_root(repo)):
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


def from_hub(place: HubPlace, servers: Servers, watch: Watch | None = None) -> Path:
    """The file there: from the cache where its server, one of `servers`, is not reached. Raises HubError."""
    from huggingface_hub import hf_hub_download

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
                local_files_only=not servers.reach(place),
                **told,
            )
            return Path(path)
    except transport_errors() as error:
        raise HubError(explain(error, str(place))) from error


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
