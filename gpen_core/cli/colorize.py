"""`gpen colorize INPUT… -o DIR`: grey faces coloured, every pixel's brightness as it was."""

from __future__ import annotations

import argparse

from ..files import refuse_missing
from .face_arguments import load_for
from .task_run import add_task, run_task

NAME = "colorize"
HELP = "Colour the faces of grey pictures; the luma of every pixel stays as it is. Results are RGB."
EXAMPLE = "gpen colorize grandmother.jpg -o coloured/ --model GPEN-Colorization-1024"


def configure(parser: argparse.ArgumentParser) -> None:
    add_task(parser, usual="GPEN-Colorization-1024")


def run(arguments: argparse.Namespace) -> int:
    refuse_missing(arguments.inputs)
    from ..tasks import colorize

    return run_task(arguments, NAME, load_for(arguments, "colorization"), colorize)
