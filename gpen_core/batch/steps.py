"""The three steps of a picture: decoding, the network, writing. Each has all it needs in its arguments, so each may run
in a thread or on a machine of its own."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..errors import GPENError, to_keep
from ..images import Picture, read_picture
from ..images.damage import guarded
from ..report import PictureReport
from .inputs import Item
from .journal import Journal
from .results import BatchOptions, Processed, write_result

#: Pictures to results, in their order. Raises GPENError when it cannot; then each picture of the group is tried alone.
Process = Callable[[Sequence[Picture]], Sequence[Processed]]


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A picture that was read, or why it cannot be, and the seconds that took."""

    item: Item
    picture: Picture | None
    error: GPENError | None
    seconds: float


def decode(item: Item, options: BatchOptions) -> Decoded:
    """The picture of `item`, or why there is none."""
    start = time.perf_counter()
    try:
        picture, error = (
            read_picture(
                item.source, max_pixels=options.max_pixels, allow_truncated=options.allow_truncated, page=item.page
            ),
            None,
        )
    except GPENError as refused:
        picture, error = None, to_keep(refused)
    return Decoded(item=item, picture=picture, error=error, seconds=time.perf_counter() - start)


def processed(group: Sequence[Decoded], process: Process) -> Iterator[tuple[Decoded, Processed | GPENError, float]]:
    """Each decoded picture with its result or its error, and the seconds that took (a group's are shared out
    evenly)."""
    readable = [one for one in group if one.picture is not None]
    start = time.perf_counter()
    try:
        with guarded(f"{readable[0].item.source} cannot be done" if readable else "nothing to do"):
            results: list[Processed | GPENError] = list(
                process([one.picture for one in readable if one.picture is not None])
            )
    except GPENError as error:
        results = [to_keep(error)] if len(readable) == 1 else [_alone(one, process) for one in readable]
    seconds = (time.perf_counter() - start) / max(1, len(readable))
    by_item = dict(zip(map(id, readable), results, strict=True))
    for one in group:
        yield one, by_item.get(id(one)) or one.error or GPENError("not decoded"), seconds


def _alone(one: Decoded, process: Process) -> Processed | GPENError:
    assert one.picture is not None
    try:
        with guarded(f"{one.item.source} cannot be done"):
            (result,) = process([one.picture])
    except GPENError as error:
        return to_keep(error)
    return result


def write(
    decoded: Decoded,
    result: Processed | GPENError,
    seconds: float,
    options: BatchOptions,
    journal: Journal | None = None,
) -> PictureReport:
    """What became of the picture, once its result has its final name. journal: needed where that may be its input's.

    Raises GPENError or OSError when the disk is full.
    """
    item, picture = decoded.item, decoded.picture
    seconds_of = {"decode": decoded.seconds, "restore": seconds}
    about = {} if picture is None else {name: getattr(picture, name) for name in ("width", "height", "notes", "pages")}
    report = PictureReport(input=str(item.source), page=item.page, seconds=seconds_of, **about)
    start = time.perf_counter()
    try:
        if isinstance(result, GPENError) or picture is None:
            raise result if isinstance(result, GPENError) else GPENError(f"{item.source} was not decoded")
        with guarded(f"{item.source} cannot be done", disk=True):
            report = write_result(item, picture, result, options, report, journal)
    except (GPENError, OSError) as error:
        cause = error if isinstance(error, OSError) else error.__cause__
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        return replace(report, output=None, status="failed", reason=str(error))
    return replace(report, seconds={**report.seconds, "encode": time.perf_counter() - start})
