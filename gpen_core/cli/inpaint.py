"""`gpen inpaint INPUT… -o DIR`: the masked or white-painted parts of faces filled."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .task_run import add_task, load_for, networks_of, run_task

if TYPE_CHECKING:
    from ..batch import Process
    from ..options import RestoreOptions

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
        metavar="FILE",
        help="a picture of the input's size, white where to fill (default: its white paint)",
    )


def run(arguments: argparse.Namespace) -> int:
    from ..images import read_picture
    from ..tasks import inpaint

    mask = None if arguments.mask is None else read_picture(arguments.mask)
    # The options have a mask of another kind under that name.
    given, arguments.mask = arguments.mask, None
    model = load_for(arguments, "inpainting")

    def process(options: RestoreOptions) -> Process:
        networks = networks_of(arguments)
        return lambda pictures: [inpaint(p, model, mask=mask, options=options, **networks) for p in pictures]

    return run_task(arguments, NAME, model, process, mask=given)
