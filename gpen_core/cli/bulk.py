"""`gpen bulk INPUT… -o DIR`: archives of pictures on Ray Data, on this machine or a cluster."""

from __future__ import annotations

import argparse
import functools
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..fields import plain
from .face_arguments import (
    add_blending,
    add_networks,
    add_selection,
    finding_more,
    model_settings,
    options_from,
)
from .file_arguments import SUFFIXES, add_formats, batch_options, conclude, with_progress
from .flags import ranged
from .mask_arguments import masks_said, read_masks
from .restore import group_for, restorer_of

if TYPE_CHECKING:
    from ..batch import BatchSummary, Process

NAME = "bulk"
HELP = (
    "Restore archives of pictures on Ray Data: the results of `gpen restore`, by any number of workers, on this "
    "machine or on the cluster that RAY_ADDRESS names. The same command again does what is left."
)
EXAMPLE = "gpen bulk archive/ -o restored/ --workers 8 --gpus-per-worker 0.5"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        help="a picture, a folder (with all it holds), a pattern, a .tar (WebDataset) or a listing (.csv, .parquet "
        "with the column input and perhaps output); each also by an address: s3://, gs://, hf://",
    )
    parser.add_argument("-o", "--output", required=True, help="a folder that every worker sees, or an address")
    group = parser.add_argument_group("workers")
    group.add_argument(
        "--workers", type=ranged(int, 1), default=1, metavar="N", help="actors with networks (default 1)"
    )
    group.add_argument(
        "--cpus-per-worker", type=ranged(float, 0), default=1.0, metavar="N", help="reserved by Ray (default 1)"
    )
    group.add_argument(
        "--gpus-per-worker", type=ranged(float, 0), default=0.0, metavar="N", help="also a share: 0.25 (default 0)"
    )
    group.add_argument(
        "--block", type=ranged(int, 1), default=16, metavar="N", help="pictures that a task reads (default 16)"
    )
    group.add_argument(
        "--autoscaling", action="store_true", help="the cluster grows by what waits: wait for what it has no room for"
    )
    files = parser.add_argument_group("files")
    add_formats(files)
    files.add_argument("--no-provenance", action="store_true", help="do not note model and strength in the metadata")
    add_networks(parser)
    add_selection(parser)
    add_blending(parser)
    parser.set_defaults(overwrite=False, resume=False, pages=False, aligned=False)


def run(arguments: argparse.Namespace) -> int:
    from ..archives import is_address
    from ..bulk import Workers, collect_archive, restore_archive
    from ..bulk.run import REPORT
    from ..measures.figures import face_figures
    from ..restore.provenance import provenance_of

    logging.getLogger("ray").setLevel(logging.ERROR)
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    read_masks(arguments)
    options = options_from(arguments)
    out = arguments.output if is_address(arguments.output) else str(Path(arguments.output).resolve())
    workers = Workers(
        count=arguments.workers,
        cpus=arguments.cpus_per_worker,
        gpus=arguments.gpus_per_worker,
        block=arguments.block,
        autoscaling=arguments.autoscaling,
    )
    items = collect_archive(arguments.inputs, out, suffix=SUFFIXES[arguments.format] if arguments.format else None)
    settings: dict[str, Any] = {"options": plain(options), "quality": arguments.quality}
    settings["detector"] = arguments.detector
    _, model = restorer_of(arguments, options)
    provenance = provenance_of(model, options.blending.strength)
    settings |= model_settings(arguments, model, provenance)
    settings["masks"] = masks_said(arguments)
    batch = batch_options(
        arguments,
        report=Path(REPORT),
        settings=settings,
        provenance=None if arguments.no_provenance else provenance,
        figures=(face_figures,),
        group=group_for(model),
    )

    def bulk(**told: Any) -> BatchSummary:
        return restore_archive(items, functools.partial(_build, arguments), out, workers, batch, **told)

    summary = with_progress(bulk, len(items), quiet=arguments.quiet)
    return conclude(summary, f"{out}/{REPORT}", remedy=finding_more(options.selection), pages=False)


def _build(arguments: argparse.Namespace) -> Process:
    """In a worker: the networks, and what they do to a picture."""
    from ..batch import restoring

    within = read_masks(arguments)
    options = options_from(arguments)
    restorer, _ = restorer_of(arguments, options)
    return restoring(restorer, options, within=within, pasted=False)
