"""What `gpen colorize` and `gpen inpaint` share: networks, pictures in, pictures out."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .face_arguments import add_networks, add_selection, finding_more, options_from
from .file_arguments import (
    SUFFIXES,
    add_files,
    batch_options,
    conclude,
    plain,
    provenance_of,
    report_path,
    run_with_progress,
)

if TYPE_CHECKING:
    from ..batch import Process
    from ..config import Task
    from ..options import RestoreOptions


def add_task(parser: argparse.ArgumentParser, *, usual: str) -> None:
    """Adds files, networks and the choice of faces. usual: the model that the help names."""
    add_files(parser)
    parser.add_argument("--aligned", action="store_true", help="the pictures are straightened faces, nothing else")
    add_networks(parser, usual=usual)
    add_selection(parser)
    parser.add_argument("--no-provenance", action="store_true", help="do not note the model in the metadata")


def load_for(arguments: argparse.Namespace, task: Task) -> Any:
    """The model that the command line names. Raises InputError where it names none, WeightsError where that was
    trained for another task."""
    from ..errors import InputError
    from ..tasks import check_task
    from ..weights import load_model

    if arguments.model is None:
        raise InputError(f"no model for {task} ships; name one with --model (`gpen models` lists those that are known)")
    model = load_model(
        arguments.model,
        device=arguments.device,
        precision=arguments.precision,
        providers=arguments.provider,
        fidelity=arguments.fidelity,
        trust_pickle=arguments.trust_pickle,
    )
    check_task(model, task)
    return model


def networks_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Detector and parser, and whether none is asked for faces, as the functions of `gpen_core.tasks` take them."""
    from ..weights import load_detector, load_parser

    return {
        "aligned": arguments.aligned,
        "detector": None if arguments.aligned else load_detector(arguments.detector, device=arguments.device),
        "parser": load_parser(arguments.parser, device=arguments.device) if arguments.parser else None,
    }


def run_task(
    arguments: argparse.Namespace, verb: str, model: Any, process: Callable[[RestoreOptions], Process], **settings: Any
) -> int:
    """The exit status, 1 when a picture failed. settings: what results depend on beside what all verbs share."""
    from ..batch import collect
    from ..restore.align import check_aligned

    options = options_from(arguments)
    if arguments.aligned:
        check_aligned(options)
    items = collect(
        arguments.inputs,
        Path(arguments.output),
        suffix=SUFFIXES[arguments.format] if arguments.format else None,
        overwrite=arguments.overwrite,
        pages=arguments.pages,
    )
    report = report_path(arguments, items)
    provenance = provenance_of(model, 1.0)
    settings |= {"verb": verb, "options": plain(options), "quality": arguments.quality, "aligned": arguments.aligned}
    settings |= {"model": provenance.model, "sha256": provenance.sha256, "precision": arguments.precision}
    settings["fidelity"], settings["form"] = arguments.fidelity, model.form
    batch = batch_options(
        arguments,
        report=report,
        settings=settings,
        provenance=None if arguments.no_provenance else provenance,
    )
    summary = run_with_progress(items, process(options), batch, quiet=arguments.quiet)
    return conclude(summary, report, aligned=arguments.aligned, remedy=finding_more(options.selection))
