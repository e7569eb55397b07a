"""`gpen inpaint INPUT… -o DIR`: the masked or white-painted parts of faces filled."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from ..files import refuse_missing
from .face_arguments import load_for
from .task_run import add_task, run_task

NAME = "inpaint"
HELP = (
    "Fill the parts of faces that a mask marks, or that are painted white. Outside the mask every pixel stays as it "
    "is (write PNG or TIFF to keep it so in the file)."
)
EXAMPLE = "gpen inpaint torn.png -o mended.png --mask tear.png --model GPEN-Inpainting-1024"


def configure(parser: argparse.ArgumentParser) -> None:
    add_task(parser, usual="GPEN-Inpainting-1024")
    parser.add_argument(
        "--mask",
        type=Path,
        metavar="FILE",
        help="a picture of the input's size, white where to fill (default: its white paint)",
    )


def run(arguments: argparse.Namespace) -> int:
    refuse_missing(arguments.inputs)
    from ..images import read_picture
    from ..tasks import inpaint

    mask = None if arguments.mask is None else read_picture(arguments.mask)
    said = None if mask is None else str(arguments.mask)
    return run_task(arguments, NAME, load_for(arguments, "inpainting"), partial(inpaint, mask=mask), mask=said)
