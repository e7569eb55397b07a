"""`gpen detect INPUT… -o DIR`: pictures with the faces that would be restored drawn in."""

from __future__ import annotations

import argparse
from pathlib import Path

from .face_arguments import add_networks, add_selection, find_process, finding_more, options_from
from .file_arguments import SUFFIXES, add_files, batch_options, conclude, plain, report_path, run_with_progress

NAME = "detect"
HELP = "Draw the faces that would be restored: boxes, landmarks, numbers, scores; report.json holds them as numbers."
EXAMPLE = "gpen detect group.jpg -o group-faces.jpg --threshold 0.8"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.usage = "gpen detect INPUT… -o OUTPUT [options]"
    add_files(parser)
    add_networks(parser, model=False)
    add_selection(parser)


def run(arguments: argparse.Namespace) -> int:
    from ..batch import collect

    selection = options_from(arguments).selection
    suffix = SUFFIXES[arguments.format] if arguments.format else None
    output, overwrite = Path(arguments.output), arguments.overwrite
    items = collect(arguments.inputs, output, suffix=suffix, overwrite=overwrite, pages=arguments.pages)
    report = report_path(arguments, items)
    settings = {"verb": NAME, "selection": plain(selection), "quality": arguments.quality}
    batch = batch_options(arguments, report=report, settings=settings, preview=True)
    summary = run_with_progress(items, find_process(arguments, selection), batch, quiet=arguments.quiet)
    return conclude(summary, report, remedy=finding_more(selection))
