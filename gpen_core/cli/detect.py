"""`gpen detect INPUT… -o DIR`: pictures with the faces that would be restored drawn in."""

from __future__ import annotations

import argparse

from ..fields import plain
from ..files import refuse_missing
from .face_arguments import add_networks, add_selection, find_process, finding_more, options_from
from .file_arguments import add_files, items_of, run_pictures

NAME = "detect"
HELP = "Draw the faces that would be restored: boxes, landmarks, numbers, scores; report.json holds them as numbers."
EXAMPLE = "gpen detect group.jpg -o group-faces.jpg --threshold 0.8"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = "gpen detect INPUT… -o OUTPUT [options]"
    add_files(parser)
    add_networks(parser, model=False)
    add_selection(parser)


def run(arguments: argparse.Namespace) -> int:
    refuse_missing(arguments.inputs)
    selection = options_from(arguments).selection
    items, process = items_of(arguments), find_process(arguments, selection)
    settings = {"verb": NAME, "selection": plain(selection)}
    status, _ = run_pictures(arguments, items, process, settings, remedy=finding_more(selection), preview=True)
    return status
