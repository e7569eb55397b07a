"""The files of the zoo: from the cache, else from the first of their places that has them, checked by hash."""

from __future__ import annotations

import logging
from pathlib import Path

from ..errors import HashMismatchError, HubError, to_keep
from .cache import Watch, download, fetched_folder, forget, sha256_of
from .entry import HubPlace, Place, ZooEntry
from .hub import from_hub
from .network import Servers

logger = logging.getLogger(__name__)


def cached(entry: ZooEntry) -> Path | None:
    """Where the entry's file already lies on this machine, whole and right; None: nowhere. No network is asked."""
    if entry.bundled_path is not None and entry.bundled_path.is_file():
        return entry.bundled_path
    found = (_cached_at(entry, place) for place in entry.places)
    return next((path for path in found if path is not None and _is_right(path, entry)), None)


def fetch(entry: ZooEntry, *, watch: Watch | None = None, remedy: str | None = None) -> Path:
    """The entry's file: from the cache, else from the first of its places that has the right one.

    Its hash is checked once and remembered (a wrong file is removed, the next place tried); where none is known, the
    found one is logged. watch: told how far a download is. remedy: what to do where it cannot be had; None: as a
    shell can. Raises HubError with the reason of every place, HashMismatchError where all there was had other content.
    """
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
    said = f"{entry.name} cannot be fetched; {remedy or _remedy(entry)}"
    servers = Servers(entry.places)
    if str(servers) and not any(map(servers.reach, entry.places)):
        raise HubError(f"{said} ({servers} cannot be reached)")
    failures: list[HubError] = []
    for place in entry.places:
        try:
            path = _fetch_from(entry, place, servers, watch)
            _check(path, entry, place)
        except HubError as error:
            logger.info("%s: %s", entry.name, error)
            failures.append(to_keep(error))
        else:
            return path
    tried = "" if len(failures) == 1 else f"{len(failures)} places tried, the first: "
    kind = HashMismatchError if all(isinstance(error, HashMismatchError) for error in failures) else HubError
    raise kind(f"{said} ({tried}{failures[0]})")


def _remedy(entry: ZooEntry) -> str:
    return f"check the network, or put {entry.file} on this machine and give its path"


def _cached_at(entry: ZooEntry, place: Place) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    if isinstance(place, HubPlace):
        found = try_to_load_from_cache(place.repo, place.path, revision=place.revision)
        return Path(found) if isinstance(found, str) else None
    path = fetched_folder() / entry.file
    return path if path.is_file() else None


def _fetch_from(entry: ZooEntry, place: Place, servers: Servers, watch: Watch | None) -> Path:
    if isinstance(place, HubPlace):
        return from_hub(place, servers, watch)
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        raise HubError(f"{place} is not asked, as HF_HUB_OFFLINE is set")
    if not servers.reach(place):
        raise HubError(f"{place} cannot be reached")
    return download(place.url, fetched_folder() / entry.file, size=entry.size, watch=watch)


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
