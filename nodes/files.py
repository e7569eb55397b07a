"""Which weight files there are to choose from, and where the chosen one lies."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from ..gpen_core.errors import HubError, WeightsError
from ..gpen_core.faces.occlusion import CONTRADICTION
from ..gpen_core.weights import zoo
from ..gpen_core.weights.entry import ZooEntry
from . import adapter
from .fetching import fetch

AUTO = "auto"
NONE = "none"

# Other networks that live in the same folders, by how their files are called.
_FOREIGN = ("vqfr", "gpen-bfr-256-d.", "gpen-bfr-512-d.")


def restorers() -> list[str]:
    """Names to choose a model by: the zoo's, then the files in `facerestore_models` that are not another network's."""
    local = [name for name in adapter.model_files(adapter.RESTORERS) if not _is_foreign(name)]
    return [*zoo.names("restorer"), *local]


def detectors() -> list[str]:
    """Names to choose a detector by: auto, the zoo's, and the `detection_*` files in `facedetection`."""
    return [AUTO, *zoo.names("detector"), *_local("detection", "retinaface")]


def parsers() -> list[str]:
    """Names to choose a parser by: auto, none, the zoo's, and the files of their kinds in `facedetection`."""
    return [AUTO, NONE, *zoo.names("parser"), *_local("parsing_parsenet", "parsenet", "parsing_bisenet")]


def occluders() -> list[str]:
    """Names to choose an occluder by: auto, where faces contradict their pictures, and the zoo's."""
    return [AUTO, CONTRADICTION, *zoo.names("occluder")]


def sizes(kind: str) -> str:
    """How much is fetched for each name of the zoo that does not ship: GPEN-BFR-512 284 MB, …"""
    entries = [zoo.find(name) for name in zoo.names(kind)]
    return ", ".join(f"{e.name} {e.size / 1e6:.0f} MB" for e in entries if e.bundled is None and e.size)


def _local(*beginnings: str) -> list[str]:
    return [n for n in adapter.model_files(adapter.DETECTION) if Path(n).name.lower().startswith(beginnings)]


def _is_foreign(name: str) -> bool:
    return Path(name).name.lower().startswith(_FOREIGN)


def on_disk(name: str, kind: str) -> Path | None:
    """The file that `name` stands for in the folders of `kind`, or the one that ships; None: it must be fetched."""
    path = adapter.find_file(kind, name)
    if path is not None:
        return path
    entry = zoo.lookup(name)
    if entry is None:
        return None
    if entry.bundled_path is not None and entry.bundled_path.is_file():
        return entry.bundled_path
    for spelling in (entry.file, *entry.aliases):
        for candidate in (spelling, f"{spelling}.pth"):
            path = adapter.find_file(kind, candidate)
            if path is not None:
                return path
    return None


def locate(name: str, kind: str, *, option: str, chosen: str | None = None) -> Path:
    """The file that `name` stands for: on disk, else fetched and kept in the first folder of `kind`.

    option: the node's input by which it was chosen, and chosen: what stands there (None: the name), for the message.
    Raises WeightsError for a name that is neither there nor known, HubError when it cannot be fetched.
    """
    path = on_disk(name, kind)
    if path is not None:
        return path
    entry = zoo.lookup(name)
    if entry is None:
        raise WeightsError(missing(name, kind, option=option))
    folder = adapter.download_folder(kind)
    try:
        fetched = fetch(entry)
    except HubError as error:
        other = _instead(entry, chosen or name)
        choose = "" if other is None else f"choose {other}, or "
        raise HubError(f"{choose}put {entry.file} into {folder}: {error} ({option})") from error
    return _keep(fetched, folder / entry.file)


def _instead(entry: ZooEntry, chosen: str) -> str | None:
    """What could be chosen in the entry's place and does the same; None: nothing."""
    if entry.kind != "restorer":
        return None if chosen == AUTO else AUTO
    other_task = entry.card is not None and entry.card.task != "restoration"
    return None if other_task else f"{zoo.DEFAULT_MODEL}, which ships"


def missing(name: str, kind: str, *, option: str) -> str:
    """What to say of a chosen file that is not there."""
    folder = adapter.download_folder(kind)
    return (
        f"{option} names {name}, which is not in {folder} (nor in the other {kind} folders) and not a name that can be "
        f"fetched: put the file there, or choose another {option} in this node"
    )


def available(name: str, kind: str, *, option: str) -> bool | str:
    """True where the file that `name` stands for is there or can be fetched, else what is missing and where it goes."""
    if not isinstance(name, str) or zoo.lookup(name) is not None or adapter.find_file(kind, name) is not None:
        return True
    return missing(name, kind, option=option)


def fingerprint(model: str, detector: str = AUTO, parser: str = AUTO, occluder: str = AUTO) -> str:
    """Changes with the files that the choices stand for, so that one replaced, added or taken away is noticed."""
    network = stamp(on_disk(model, adapter.RESTORERS)) or model
    return "|".join((network, stamp(detector_file(detector)), stamp(parser_file(parser)), occluder))


def _keep(fetched: Path, target: Path) -> Path:
    """The fetched file under its name in the models folder, as a second link to the same content where that goes."""
    with contextlib.suppress(OSError):
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(fetched.resolve(), target)
        return target
    return fetched


def detector_file(choice: str) -> Path | None:
    """The file that the choice of a detector stands for; None: the core's own choice, or it must be fetched."""
    if choice != AUTO:
        return on_disk(choice, adapter.DETECTION)
    found = (adapter.find_file(adapter.DETECTION, zoo.find(name).file) for name in zoo.names("detector"))
    return next((path for path in found if path is not None), None)


def parser_file(choice: str) -> Path | None:
    """The file that the choice of a parser stands for; None: there is none, or it must be fetched."""
    return None if choice == NONE else on_disk("parsenet" if choice == AUTO else choice, adapter.DETECTION)


def stamp(path: Path | None) -> str:
    """Changes whenever the file does, also where its size and time stay."""
    if path is None:
        return ""
    status = path.stat()
    return f"{path}:{status.st_size}:{status.st_mtime_ns}:{status.st_ctime_ns}:{status.st_ino}"
