"""`gpen models`: the zoo as a table; `gpen models fetch NAME` brings one here."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import megabytes, table

if TYPE_CHECKING:
    from ..weights.entry import ZooEntry

NAME = "models"
HELP = "List the models, detectors, parsers and upscalers known by name; fetch some of them."
EXAMPLE = "gpen models fetch GPEN-BFR-512"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="[fetch] NAME", help="what to fetch, or to list (default: all)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    from ..weights import fetching, zoo

    names = arguments.names
    if names[:1] == ["fetch"]:
        if len(names) == 1:
            print("gpen models fetch: name at least one model; `gpen models` lists them", file=sys.stderr)
            return 2
        for entry in [network for name in names[1:] for network in _networks(zoo.find(name))]:
            print(f"{entry.name} (licence: {entry.licence})", file=sys.stderr)
            path = fetching.fetch(entry)
            print(json.dumps({"name": entry.name, "path": str(path)}) if arguments.json else path)
        return 0
    entries = [zoo.find(name) for name in names] or list(zoo.MODELS)
    rows = [_row(entry, fetching.cached(entry)) for entry in entries]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    cells = [
        (
            row["name"],
            row["kind"] if row["task"] is None else row["task"],
            ("–" if row["size_px"] is None else str(row["size_px"])) + ("+" if row["larger"] else ""),
            megabytes(row["bytes"]),
            "yes" if row["sha256"] else "–",
            row["licence"],
            "here" if row["path"] else "–",
        )
        for row in rows
    ]
    print(table(("name", "for", "pixels", "size", "hash", "licence", "fetched"), cells))
    for row in rows:
        if row["larger"]:
            print(f"+ {row['name']} takes {row['larger']} for larger faces, beside the file shown")
    return 0


def _networks(entry: ZooEntry) -> list[ZooEntry]:
    """The entry, and the one that takes larger faces under its name."""
    from ..weights import zoo

    return [entry] if entry.larger is None else [entry, zoo.find(entry.larger)]


def _row(entry: ZooEntry, path: Path | None) -> dict[str, Any]:
    from ..weights.description import read_header

    config, card = entry.config, entry.card
    if config is None and path is not None and path == entry.bundled_path:
        config, card, _ = read_header(path)
    return {
        "name": entry.name,
        "kind": entry.kind,
        "task": None if card is None else card.task,
        "summary": entry.summary,
        "size_px": None if config is None else config.in_size,
        "larger": entry.larger,
        "parameters": entry.parameters,
        "value_range": None if card is None else list(card.value_range),
        "template": None if card is None else card.template,
        "bytes": path.stat().st_size if entry.size is None and path is not None else entry.size,
        "sha256": entry.sha256,
        "licence": entry.licence,
        "origin": entry.origin,
        "places": [f"{place}{' (second-hand)' if place.second_hand else ''}" for place in entry.places],
        "path": None if path is None else str(path),
    }
