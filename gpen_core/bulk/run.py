"""A run: what is left to do goes through reading, networks and writing on Ray Data, and a journal says what is done."""

from __future__ import annotations

import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..archives import is_address
from ..batch import BatchOptions, BatchSummary
from ..batch.journal import Journal, Stamp, stamp
from ..batch.run import do_what_is_left, place_of
from ..batch.steps import Process
from ..errors import GPENError, InputError, MissingPackageError, PictureError
from ..files import sweep
from ..images.damage import in_words
from ..report import PictureReport
from .afar import Mirror, sizes_below
from .inputs import ArchiveItem
from .lease import leased
from .stages import Networks, Reader, Writer, packed, unpacked
from .table import write_table
from .tries import TriesAfar

REPORT = "report.parquet"
#: Of a CPU, for a task that reads or writes: they wait for disks and stores as often as they work.
_TASK_CPUS = 0.5

Build = Callable[[], Process]
"""Called by every worker once: what is done to pictures. Its results travel to who writes them."""


@dataclass(frozen=True, kw_only=True)
class Workers:
    """How many actors with networks, what Ray reserves for each (of a GPU also a share), and the pictures that a task
    reads. autoscaling: the cluster grows by what waits, so what it has no room for yet is not refused."""

    count: int = 1
    cpus: float = 1.0
    gpus: float = 0.0
    block: int = 16
    autoscaling: bool = False

    def __post_init__(self) -> None:
        for name, least in (("count", 1), ("block", 1), ("cpus", 0), ("gpus", 0)):
            if not least <= (value := getattr(self, name)) < math.inf:
                raise InputError(f"{name} of the workers is {value}; it must be at least {least}")


def restore_archive(
    items: Sequence[ArchiveItem],
    build: Build,
    out: str,
    workers: Workers,
    options: BatchOptions,
    *,
    finished: Callable[[PictureReport], None] | None = None,
    skipped: Callable[[int], object] | None = None,
) -> BatchSummary:
    """Does every item that no earlier run into `out` has done, and writes OUT/report.parquet, a row for every face.

    A picture that fails is a row that says why, and so is one that ends every process that works on it, after a few
    tries. out: a folder or an address, the items' own. options: how pictures are read and written; `report` and
    `resume` do not count, `settings` are what the results depend on. finished: told of every picture, in no order;
    skipped: once, how many were done before. Raises ConfigError where `out` holds results of other settings, InputError
    while another run writes there, PictureError when the disk is full, MissingPackageError without Ray.
    """
    _ray_data()
    with ExitStack() as stack:
        far = is_address(out)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()) if far else out)
        report = folder / REPORT
        stack.enter_context(place_of(report))
        mirror = Mirror(out, report, stack.enter_context(leased(out))) if far else None
        journal = Journal(
            report, options.settings, items, resume=True, stamp=_stamps(items, out), anew="in another folder"
        )
        stack.enter_context(closing(journal))
        if mirror is None:
            for place in {Path(item.target).parent for item in items}:
                sweep(place)
        else:
            mirror.begin()

        def work(todo: Sequence[ArchiveItem]) -> Iterator[tuple[PictureReport, tuple[Stamp, Stamp]]]:
            for done in _on_ray(todo, build, workers, options):
                yield done
                if mirror is not None:
                    mirror.follow()

        summary = do_what_is_left(items, journal, work, finished=finished, skipped=skipped)
        write_table(report, journal.rows())
        if mirror is not None:
            mirror.finish()
    return summary


def _stamps(items: Sequence[ArchiveItem], out: str) -> Callable[[str], Stamp]:
    """What tells versions of an input, or a result, apart; as listings of far places had it."""
    told: dict[str, Stamp] = {item.source: item.stamp for item in items if item.stamp is not None}
    if is_address(out):
        told |= sizes_below(out)
    return lambda name: told[name] if name in told else stamp(name)


def _on_ray(
    todo: Sequence[ArchiveItem], build: Build, workers: Workers, options: BatchOptions
) -> Iterator[tuple[PictureReport, tuple[Stamp, Stamp]]]:
    """What became of each picture, in no order, once its file has its final name."""
    if not todo:
        return
    ray = _ray(workers)
    tries = TriesAfar(ray)
    rows = ray.data.from_arrow([packed(todo[at : at + workers.block]) for at in range(0, len(todo), workers.block)])
    done = (
        rows.map_batches(Reader(options, tries).__call__, batch_size=None, batch_format="pyarrow", num_cpus=_TASK_CPUS)
        .map_batches(
            Networks,
            fn_constructor_args=(build, tries, workers.count),
            batch_size=options.group,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=workers.count),
            num_cpus=workers.cpus,
            num_gpus=workers.gpus,
        )
        .map_batches(Writer(options, tries).__call__, batch_size=None, batch_format="pyarrow", num_cpus=_TASK_CPUS)
    )
    try:
        for table in done.iter_batches(batch_size=None, batch_format="pyarrow"):
            for one in unpacked(table):
                if one.fatal:
                    raise PictureError(one.fatal)
                yield one.report, one.stamps
    except ray.exceptions.RayError as error:
        raise GPENError(f"Ray ended the run ({_said(error)}); the same command goes on with what is left") from error


def _said(error: Any) -> str:
    cause = getattr(error, "cause", None) or error
    if not getattr(cause, "actor_init_failed", False):
        return in_words(cause)
    # Of what a worker raised before its first picture there is only the traceback, as text.
    said: str = str(cause).strip().splitlines()[-1].partition(": ")[2]
    return said


def _ray_data() -> Any:
    try:
        import ray.data
    except ImportError as error:
        raise MissingPackageError("bulk restoration needs Ray Data; install gpen[ray]") from error
    return ray


def _ray(workers: Workers) -> Any:
    """Ray, joined to the cluster that RAY_ADDRESS names or started here with as many CPUs as the stages take.

    Raises InputError where the cluster has too few CPUs or GPUs, GPENError where Ray does not start.
    """
    ray = _ray_data()
    if not ray.is_initialized():
        here = {} if os.environ.get("RAY_ADDRESS") else _as_started_here(workers)
        try:
            ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR, **here)
        except Exception as error:  # Ray raises this very class where it cannot start
            remedy = (
                f"RAY_ADDRESS names {os.environ['RAY_ADDRESS']}; start a cluster there, or unset it to work here"
                if not here
                else "try again when the machine is less busy, or use gpen restore, which needs no Ray"
            )
            raise GPENError(f"Ray did not start ({in_words(error)}); {remedy}") from error
    if not workers.autoscaling:
        _refuse_without_room(ray.cluster_resources(), workers)
    ray.data.DataContext.get_current().enable_progress_bars = False
    # What ends a run is told in a line by who runs it; what Ray sees is in its own files.
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
    return ray


def _as_started_here(workers: Workers) -> dict[str, Any]:
    cpus = round(workers.count * workers.cpus + 0.5) + 2
    # Ray notes what every task did, for a dashboard that nobody sees here: 17 KB a picture in one of its processes.
    return {"num_cpus": cpus, "_system_config": {"task_events_report_interval_ms": 0}}


def _refuse_without_room(there: Mapping[str, float], workers: Workers) -> None:
    """Raises InputError where Ray would wait for ever. there: what the cluster has, by Ray's names."""
    for kind, each, beside in (("CPU", workers.cpus, 2 * _TASK_CPUS), ("GPU", workers.gpus, 0.0)):
        needed, found = workers.count * each + beside, there.get(kind, 0.0)
        if needed > found + 1e-6:  # shares like 0.1 do not add up exactly
            tasks = f" and {beside:g} for reading and writing" if beside else ""
            raise InputError(
                f"{workers.count} workers of {each:g} {kind}s{tasks} are {needed:g} {kind}s, and Ray has {found:g}; "
                f"take fewer (--workers), or less for each (--{kind.lower()}s-per-worker); where the cluster grows by "
                "itself, say --autoscaling"
            )
