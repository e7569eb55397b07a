"""`gpen colorize INPUT… -o DIR`: grey faces coloured, every pixel's brightness as it was."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .task_run import add_task, load_for, networks_of, run_task

if TYPE_CHECKING:
    from ..batch import Process
    from ..options import RestoreOptions

NAME = "colorize"
HELP = "Colour the faces of grey pictures; the luma of every pixel stays as it is. Results are RGB."
EXAMPLE = "gpen colorize grandmother.jpg -o coloured/ --model GPEN-Colorization-1024"


def configure(parser: argparse.ArgumentParser) -> None:
    add_task(parser, usual="GPEN-Colorization-1024")


def run(arguments: argparse.Namespace) -> int:
    from ..tasks import colorize

    model = load_for(arguments, "colorization")

    def process(options: RestoreOptions) -> Process:
        networks = networks_of(arguments)
        return lambda pictures: [colorize(p, model, options=options, **networks) for p in pictures]

    return run_task(arguments, NAME, model, process)
