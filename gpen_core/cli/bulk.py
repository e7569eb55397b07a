"""`gpen bulk INPUT… -o DIR`: archives of pictures on Ray Data, on this machine or a cluster."""

from __future__ import annotations

import argparse
import functools
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .face_arguments import (
    add_blending,
    add_networks,
    add_selection,
    finding_more,
    model_settings,
    options_from,
)
from .file_arguments import add_formats, batch_options, items_of, plain
from .mask_arguments import masks_said, read_masks
from .restore import restorer_of

if TYPE_CHECKING:
    from ..batch import BatchOptions, Process

NAME = "bulk"
HELP = (
    "Restore archives of pictures on Ray Data: the results of `gpen restore`, by any number of workers, on this "
    "machine or on the cluster that RAY_ADDRESS names. The same command again does what is left."
)
EXAMPLE = "gpen bulk archive/ -o restored/ --workers 8 --gpus-per-worker 0.5"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "inputs", metavar="INPUT", nargs="+", help="a picture, a folder (with all it holds) or a pattern"
    )
    parser.add_argument("-o", "--output", required=True, help="a folder that every worker sees, made if need be")
    group = parser.add_argument_group("workers")
    group.add_argument("--workers", type=int, default=1, metavar="N", help="actors with networks (default 1)")
    group.add_argument("--cpus-per-worker", type=float, default=1.0, metavar="N", help="reserved by Ray (default 1)")
    group.add_argument("--gpus-per-worker", type=float, default=0.0, metavar="N", help="also a share: 0.25 (default 0)")
    group.add_argument("--block", type=int, default=16, metavar="N", help="pictures taken at once (default 16)")
    files = parser.add_argument_group("files")
    add_formats(files)
    files.add_argument("--no-provenance", action="store_true", help="do not note model and strength in the metadata")
    add_networks(parser)
    add_selection(parser)
    add_blending(parser)
    parser.set_defaults(overwrite=False, resume=False, pages=False, aligned=False)


def run(arguments: argparse.Namespace) -> int:
    from tqdm import tqdm

    from ..bulk import Workers, restore_archive
    from ..restore.provenance import provenance_of

    logging.getLogger("ray").setLevel(logging.ERROR)
    read_masks(arguments)
    options = options_from(arguments)
    out = arguments.output = Path(arguments.output).resolve()
    workers = Workers(
        count=arguments.workers,
        cpus=arguments.cpus_per_worker,
        gpus=arguments.gpus_per_worker,
        block=arguments.block,
    )
    items = items_of(arguments)
    settings = {"options": plain(options), "quality": arguments.quality, "detector": arguments.detector}
    _, model = restorer_of(arguments, options)
    settings |= model_settings(arguments, model, provenance_of(model, options.blending.strength))
    settings["masks"] = masks_said(arguments)
    with tqdm(total=len(items), unit="picture", disable=arguments.quiet, dynamic_ncols=True, file=sys.stderr) as bar:

        def finished(row: Mapping[str, Any]) -> None:
            bar.update()
            if row["status"] == "failed":
                bar.write(f"gpen: {row['reason']}", file=sys.stderr)

        summary = restore_archive(
            items, functools.partial(_build, arguments), out, workers, settings=settings, finished=finished
        )
    parts = [f"{summary.done} pictures", f"{summary.faces} faces"]
    if not summary.faces:
        parts.append(f"none found ({finding_more(options.selection)} might find some)")
    if summary.skipped:
        parts.append(f"{summary.skipped} done before")
    if summary.failed:
        parts.append(f"{len(summary.failed)} failed")
    print(f"{', '.join(parts)}; report: {out / 'report.parquet'}")
    return 1 if summary.failed else 0


def _build(arguments: argparse.Namespace) -> tuple[Process, BatchOptions]:
    """In a worker: the networks, and how pictures are read and written."""
    from ..batch import restoring
    from ..measures.figures import face_figures
    from ..restore.provenance import provenance_of
    from .restore import group_for

    within = read_masks(arguments)
    options = options_from(arguments)
    restorer, model = restorer_of(arguments, options)
    provenance = provenance_of(model, options.blending.strength)
    return restoring(restorer, options, within=within), batch_options(
        arguments,
        report=Path(arguments.output) / "report.json",
        settings={},
        provenance=None if arguments.no_provenance else provenance,
        figures=(face_figures,),
        group=group_for(model),
    )
