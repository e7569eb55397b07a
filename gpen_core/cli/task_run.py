"""What `gpen colorize` and `gpen inpaint` share: networks, pictures in, pictures out."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

from ..fields import plain
from .face_arguments import (
    add_networks,
    add_selection,
    detector_and_parser,
    finding_more,
    model_settings,
    options_from,
)
from .file_arguments import add_files, items_of, run_pictures


def add_task(parser: argparse.ArgumentParser, *, usual: str) -> None:
    """Adds files, networks and the choice of faces. usual: the model that the help names."""
    add_files(parser)
    parser.add_argument("--aligned", action="store_true", help="the pictures are straightened faces, nothing else")
    add_networks(parser, usual=usual)
    add_selection(parser)
    parser.add_argument("--no-provenance", action="store_true", help="do not note the model in the metadata")


def run_task(arguments: argparse.Namespace, verb: str, model: Any, task: Callable[..., Any], **settings: Any) -> int:
    """The exit status, 1 when a picture failed. task: one of `gpen_core.tasks`. settings: what results depend on
    beside what all verbs share."""
    from ..restore.align import check_aligned
    from ..restore.provenance import provenance_of

    options = options_from(arguments)
    if arguments.aligned:
        check_aligned(options)
    items = items_of(arguments)
    settings |= {"verb": verb, "options": plain(options), "aligned": arguments.aligned}
    provenance = provenance_of(model, 1.0)
    settings |= model_settings(arguments, model, provenance)
    detector, parser = detector_and_parser(arguments)
    done = partial(task, model=model, options=options, aligned=arguments.aligned, detector=detector, parser=parser)
    status, _ = run_pictures(
        arguments,
        items,
        lambda pictures: [done(picture) for picture in pictures],
        settings,
        remedy=finding_more(options.selection),
        provenance=None if arguments.no_provenance else provenance,
    )
    return status
