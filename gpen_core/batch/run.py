"""The run itself: decoding, network and encoding overlap, and nothing is kept of a picture once it is written.

Decoders run a few pictures ahead in threads, the network in the caller's thread, encoders a few pictures behind; all
three windows are bounded, so memory does not depend on the number of pictures.
"""

from __future__ import annotations

import errno
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import GPENError, PictureError
from ..files import claimed, sweep
from ..images import Picture, read_picture
from ..images.damage import guarded
from ..images.reading import claims_of
from ..report import PictureReport
from .inputs import Item
from .journal import Journal
from .results import BatchOptions, Processed, beside, write_result

_AHEAD, _BEHIND = 3, 3
#: Decoders pause while more pixels than this wait for the network (the picture at hand excepted).
_WAITING_PIXELS = 100_000_000


#: Pictures to results, in their order. Raises GPENError when it cannot; then each picture of the group is tried alone.
Process = Callable[[Sequence[Picture]], Sequence[Processed]]


@dataclass(frozen=True, kw_only=True)
class BatchSummary:
    """How a run ended. skipped: pictures that an earlier run had done; faceless: in which no face was found; failed:
    reports of the broken ones; pages_left: files that hold more pictures than the one that was done; faces_left: how
    many were left as found, being larger than the model's size and sound at that."""

    done: int
    skipped: int
    faces: int
    faceless: int
    failed: tuple[PictureReport, ...]
    pages_left: int = 0
    faces_left: int = 0


@dataclass(frozen=True, kw_only=True)
class _Decoded:
    item: Item
    picture: Picture | None
    error: GPENError | None
    seconds: float


def run_batch(
    items: Sequence[Item],
    process: Process,
    options: BatchOptions,
    *,
    finished: Callable[[PictureReport], None] | None = None,
    skipped: Callable[[int], object] | None = None,
) -> BatchSummary:
    """Does every item and writes the report; a picture that fails is reported and the others go on.

    finished: told of each picture when its result has its final name, in order. skipped: told, once and first, how many
    pictures an earlier run had done.
    Raises PictureError when the disk is full, or nothing can be written beside the report; InputError while another run
    has this report.
    """
    with _place_of(options.report):
        journal = Journal(options.report, options.settings, items, resume=options.resume)
        _forget_leftovers(items, options)
        todo = [item for item in items if item.key not in journal.done]
        if skipped is not None:
            skipped(len(items) - len(todo))
        done, faces, left, faceless, pages, failed = 0, 0, 0, 0, 0, []
        with closing(journal):
            for report in _reports(todo, process, options, journal):
                journal.add(report)
                if finished is not None:
                    finished(report)
                done, faces = done + (report.status != "failed"), faces + len(report.faces)
                left += sum(face.left for face in report.faces)
                pages += report.page is None and report.pages > 1
                if report.status == "failed":
                    failed.append(report)
                elif not report.faces:
                    faceless += 1
            journal.finish()
    return BatchSummary(
        done=done,
        skipped=len(items) - len(todo),
        faces=faces,
        faceless=faceless,
        failed=tuple(failed),
        pages_left=pages,
        faces_left=left,
    )


@contextmanager
def _place_of(report: Path) -> Iterator[None]:
    """Keeps other runs from the report's place. Raises PictureError where nothing can be written there."""
    with ExitStack() as stack:
        try:
            stack.enter_context(claimed(report))
        except OSError as error:
            raise PictureError(
                f"nothing can be written into {report.parent}: {error.strerror}; choose another folder (-o)"
            ) from error
        yield


def _forget_leftovers(items: Sequence[Item], options: BatchOptions) -> None:
    """Removes the temporary files of runs that were killed."""
    folders = {options.report.parent, *(item.target.parent for item in items)}
    for kind in ("compare", "faces") if options.compare or options.save_faces else ():
        folders.update(beside(item, options, kind).parent for item in items)
    for folder in folders:
        sweep(folder)


def _reports(
    items: Sequence[Item], process: Process, options: BatchOptions, journal: Journal
) -> Iterator[PictureReport]:
    """Reports in the order of `items`, each once its picture is written."""
    writing: deque[Future[PictureReport]] = deque()
    with ThreadPoolExecutor(2, "decode") as decoders, ThreadPoolExecutor(2, "encode") as encoders:
        try:
            for group in _groups(_decoded(items, options, decoders), options.group):
                for decoded, result, seconds in _processed(group, process):
                    writing.append(encoders.submit(_write, decoded, result, seconds, options, journal))
                del group
                while len(writing) > _BEHIND or (writing and writing[0].done()):
                    yield writing.popleft().result()
            while writing:
                yield writing.popleft().result()
        finally:
            decoders.shutdown(wait=False, cancel_futures=True)
            encoders.shutdown(wait=False, cancel_futures=True)


def _decoded(items: Sequence[Item], options: BatchOptions, decoders: ThreadPoolExecutor) -> Iterator[_Decoded]:
    ahead: deque[tuple[Future[_Decoded], int]] = deque()
    rest = deque(items)
    while rest or ahead:
        while rest and len(ahead) < _AHEAD:
            claims = claims_of(rest[0].source)
            pixels = claims.width * claims.height
            if ahead and pixels + sum(waiting for _, waiting in ahead) > _WAITING_PIXELS:
                break
            ahead.append((decoders.submit(_decode, rest.popleft(), options), pixels))
        yield ahead.popleft()[0].result()


def _decode(item: Item, options: BatchOptions) -> _Decoded:
    start = time.perf_counter()
    try:
        picture, error = (
            read_picture(
                item.source, max_pixels=options.max_pixels, allow_truncated=options.allow_truncated, page=item.page
            ),
            None,
        )
    except GPENError as refused:
        picture, error = None, refused
    return _Decoded(item=item, picture=picture, error=error, seconds=time.perf_counter() - start)


def _groups(decoded: Iterator[_Decoded], size: int) -> Iterator[list[_Decoded]]:
    group: list[_Decoded] = []
    for one in decoded:
        group.append(one)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _processed(group: Sequence[_Decoded], process: Process) -> Iterator[tuple[_Decoded, Processed | GPENError, float]]:
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
        results = [error] if len(readable) == 1 else [_alone(one, process) for one in readable]
    seconds = (time.perf_counter() - start) / max(1, len(readable))
    by_item = dict(zip(map(id, readable), results, strict=True))
    for one in group:
        yield one, by_item.get(id(one)) or one.error or GPENError("not decoded"), seconds


def _alone(one: _Decoded, process: Process) -> Processed | GPENError:
    assert one.picture is not None
    try:
        with guarded(f"{one.item.source} cannot be done"):
            (result,) = process([one.picture])
    except GPENError as error:
        return error
    return result


def _write(
    decoded: _Decoded, result: Processed | GPENError, seconds: float, options: BatchOptions, journal: Journal
) -> PictureReport:
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
