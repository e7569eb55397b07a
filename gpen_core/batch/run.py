"""The run itself: decoding, network and encoding overlap, and nothing is kept of a picture once it is written.

Decoders run a few pictures ahead in threads, the network in the caller's thread, encoders a few pictures behind; all
three windows are bounded, so memory does not depend on the number of pictures.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..errors import PictureError
from ..files import claimed, sweep
from ..images.reading import claims_of
from ..report import PictureReport
from ..threads import ThreadsBeside
from .inputs import Item
from .journal import BESIDE, Journal, Stamp, Task
from .results import BatchOptions, beside
from .steps import Decoded, Process, decode, processed, write

T = TypeVar("T", bound=Task)

_AHEAD, _BEHIND = 3, 3
#: Decoders pause while more pixels than this wait for the network (the picture at hand excepted).
_WAITING_PIXELS = 100_000_000


@dataclass(frozen=True, kw_only=True)
class BatchSummary:
    """How a run ended. skipped: pictures that an earlier run had done; faceless: in which no face was found; failed:
    reports of the broken ones; pages_left: files that hold more pictures than the one that was done; faces_left: how
    many were left as found, being larger than the model's size and sound at that; faces_spared: how many were not to be
    restored, by the options."""

    done: int
    skipped: int
    faces: int
    faceless: int
    failed: tuple[PictureReport, ...]
    pages_left: int = 0
    faces_left: int = 0
    faces_spared: int = 0


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
    with place_of(options.report):
        journal = Journal(options.report, _settings(options), items, resume=options.resume)
        _forget_leftovers(items, options)
        with closing(journal):
            summary = do_what_is_left(
                items,
                journal,
                lambda todo: ((report, None) for report in _reports(todo, process, options, journal)),
                finished=finished,
                skipped=skipped,
            )
            journal.finish()
    return summary


def _settings(options: BatchOptions) -> dict[str, Any]:
    """What a resumed run is compared by: a picture that is done lacks what was not asked for beside it then."""
    return {**options.settings, **{name: True for name in BESIDE if getattr(options, name)}}


def do_what_is_left(
    items: Sequence[T],
    journal: Journal,
    work: Callable[[Sequence[T]], Iterator[tuple[PictureReport, tuple[Stamp, Stamp] | None]]],
    *,
    finished: Callable[[PictureReport], None] | None = None,
    skipped: Callable[[int], object] | None = None,
) -> BatchSummary:
    """Does those of `items` that the journal has not seen done, and notes each in it.

    work: does what it is given, and yields a report of each, and the stamps of its input and result where it knows
    them.
    """
    todo = [item for item in items if item.key not in journal.done]
    if skipped is not None:
        skipped(len(items) - len(todo))
    done, faces, left, spared, faceless, pages, failed = 0, 0, 0, 0, 0, 0, []
    for report, stamps in work(todo):
        journal.add(report, stamps)
        if finished is not None:
            finished(report)
        done, faces = done + (report.status != "failed"), faces + len(report.faces)
        left, spared = left + sum(f.left for f in report.faces), spared + sum(f.spared for f in report.faces)
        pages += report.page is None and report.pages > 1
        if report.status == "failed":
            failed.append(report)
        elif not report.faces:
            faceless += 1
    return BatchSummary(
        done=done,
        skipped=len(items) - len(todo),
        faces=faces,
        faceless=faceless,
        failed=tuple(failed),
        pages_left=pages,
        faces_left=left,
        faces_spared=spared,
    )


@contextmanager
def place_of(report: Path) -> Iterator[None]:
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
    with ThreadsBeside(2, "decode") as decoders, ThreadsBeside(2, "encode") as encoders:
        try:
            for group in _groups(_decoded(items, options, decoders), options.group):
                for decoded, result, seconds in processed(group, process):
                    writing.append(encoders.submit(write, decoded, result, seconds, options, journal))
                del group
                while len(writing) > _BEHIND or (writing and writing[0].done()):
                    yield writing.popleft().result()
            while writing:
                yield writing.popleft().result()
        finally:
            decoders.shutdown(wait=False, cancel_futures=True)
            encoders.shutdown(wait=False, cancel_futures=True)


def _decoded(items: Sequence[Item], options: BatchOptions, decoders: ThreadsBeside) -> Iterator[Decoded]:
    ahead: deque[tuple[Future[Decoded], int]] = deque()
    rest = deque(items)
    while rest or ahead:
        while rest and len(ahead) < _AHEAD:
            claims = claims_of(rest[0].source)
            pixels = claims.width * claims.height
            if ahead and pixels + sum(waiting for _, waiting in ahead) > _WAITING_PIXELS:
                break
            ahead.append((decoders.submit(decode, rest.popleft(), options), pixels))
        yield ahead.popleft()[0].result()


def _groups(decoded: Iterator[Decoded], size: int) -> Iterator[list[Decoded]]:
    group: list[Decoded] = []
    for one in decoded:
        group.append(one)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
