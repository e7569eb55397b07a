"""The run itself: decoding, network and encoding overlap, and nothing is kept of a picture once it is written.

Decoders run a few pictures ahead in threads, the network in the caller's thread, encoders a few pictures behind; all
three windows are bounded, so memory does not depend on the number of pictures.
"""

from __future__ import annotations

import errno
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ..errors import GPENError
from ..files import sweep
from ..images import DEFAULT_MAX_PIXELS, Picture, as_picture, copy_picture, read_picture, write_picture
from ..images.metadata import Provenance
from ..images.picture import to_depth
from ..report import FaceFigures, FaceReport, PictureReport
from .inputs import Item
from .journal import Journal
from .preview import draw_faces, side_by_side

_AHEAD, _BEHIND = 3, 3
#: Decoders pause while more pixels than this wait for the network (the picture at hand excepted).
_WAITING_PIXELS = 100_000_000


class Processed(Protocol):
    """What becomes of one picture: the result, and the faces that were changed (`RestoredPicture` is one)."""

    @property
    def picture(self) -> Picture:
        """To be written."""

    @property
    def faces(self) -> Sequence[Any]:
        """With `.box`, `.landmarks`, `.score`, and for `save_faces` `.crop` and `.restored`."""


#: Pictures to results, in their order. Raises GPENError when it cannot; then each picture of the group is tried alone.
Process = Callable[[Sequence[Picture]], Sequence[Processed]]


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """How a run reads, writes and reports.

    report: the path of report.json; `compare/` (before beside after) and `faces/` (crops before and after) go beside
    it.
    settings: what the results depend on, for the report, and for `resume` to compare. preview: faces are drawn in
    instead of restored.
    group: pictures given to the network at once. figures: measured on every
    restored face.
    """

    report: Path
    settings: Mapping[str, Any] = field(default_factory=dict)
    resume: bool = False
    overwrite: bool = False
    preview: bool = False
    compare: bool = False
    save_faces: bool = False
    quality: int | None = None
    provenance: Provenance | None = None
    max_pixels: int | None = DEFAULT_MAX_PIXELS
    allow_truncated: bool = False
    group: int = 1
    figures: tuple[FaceFigures, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BatchSummary:
    """How a run ended. skipped: pictures that an earlier run had done; faceless: in which no face was found; failed:
    reports of the broken ones."""

    done: int
    skipped: int
    faces: int
    faceless: int
    failed: tuple[PictureReport, ...]


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
    Raises PictureError when the disk is full: nothing that follows could be written.
    """
    journal = Journal(options.report, options.settings, resume=options.resume)
    _forget_leftovers(items)
    todo = [item for item in items if str(item.source) not in journal.done]
    if skipped is not None:
        skipped(len(items) - len(todo))
    done, faces, faceless, failed = 0, 0, 0, []
    with closing(journal):
        for report in _reports(todo, process, options):
            journal.add(report)
            if finished is not None:
                finished(report)
            done, faces = done + (report.status != "failed"), faces + len(report.faces)
            if report.status == "failed":
                failed.append(report)
            elif not report.faces:
                faceless += 1
        journal.finish()
    skipped_before = len(items) - len(todo)
    return BatchSummary(done=done, skipped=skipped_before, faces=faces, faceless=faceless, failed=tuple(failed))


def _forget_leftovers(items: Sequence[Item]) -> None:
    """Removes the temporary files of runs that were killed."""
    for folder in {item.target.parent for item in items}:
        sweep(folder)


def _reports(items: Sequence[Item], process: Process, options: BatchOptions) -> Iterator[PictureReport]:
    """Reports in the order of `items`, each once its picture is written."""
    writing: deque[Future[PictureReport]] = deque()
    with ThreadPoolExecutor(2, "decode") as decoders, ThreadPoolExecutor(2, "encode") as encoders:
        try:
            for group in _groups(_decoded(items, options, decoders), options.group):
                for decoded, result, seconds in _processed(group, process):
                    writing.append(encoders.submit(_write, decoded, result, seconds, options))
                del group
                while len(writing) > _BEHIND or (writing and writing[0].done()):
                    yield writing.popleft().result()
            while writing:
                yield writing.popleft().result()
        finally:
            decoders.shutdown(wait=False, cancel_futures=True)
            encoders.shutdown(wait=False, cancel_futures=True)


def _decoded(items: Sequence[Item], options: BatchOptions, decoders: ThreadPoolExecutor) -> Iterator[_Decoded]:
    ahead: deque[Future[_Decoded]] = deque()
    rest = iter(items)
    while True:
        while len(ahead) < _AHEAD and _pixels_waiting(ahead) < _WAITING_PIXELS:
            item = next(rest, None)
            if item is None:
                break
            ahead.append(decoders.submit(_decode, item, options))
        if not ahead:
            return
        yield ahead.popleft().result()


def _pixels_waiting(ahead: Sequence[Future[_Decoded]]) -> int:
    pictures = (future.result().picture for future in ahead if future.done())
    return sum(picture.width * picture.height for picture in pictures if picture is not None)


def _decode(item: Item, options: BatchOptions) -> _Decoded:
    start = time.perf_counter()
    try:
        picture, error = (
            read_picture(item.source, max_pixels=options.max_pixels, allow_truncated=options.allow_truncated),
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
        (result,) = process([one.picture])
    except GPENError as error:
        return error
    return result


def _write(decoded: _Decoded, result: Processed | GPENError, seconds: float, options: BatchOptions) -> PictureReport:
    item, picture = decoded.item, decoded.picture
    report = PictureReport(input=str(item.source), seconds={"decode": decoded.seconds, "restore": seconds})
    if picture is not None:
        report = replace(report, width=picture.width, height=picture.height, notes=picture.notes)
    start = time.perf_counter()
    try:
        if isinstance(result, GPENError) or picture is None:
            raise result if isinstance(result, GPENError) else GPENError(f"{item.source} was not decoded")
        report = replace(report, faces=_face_reports(result, options), **_write_result(item, picture, result, options))
    except GPENError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.ENOSPC:
            raise
        return replace(report, status="failed", reason=str(error))
    return replace(report, seconds={**report.seconds, "encode": time.perf_counter() - start})


def _face_reports(result: Processed, options: BatchOptions) -> tuple[FaceReport, ...]:
    return tuple(FaceReport.of(face, index, result.picture, options.figures) for index, face in enumerate(result.faces))


def _write_result(item: Item, picture: Picture, result: Processed, options: BatchOptions) -> dict[str, Any]:
    """Fields of the report."""
    fields: dict[str, Any] = {"output": str(item.target)}
    if options.preview:
        marked = draw_faces(picture, result.faces)
        fields["notes"] = picture.notes + write_picture(
            marked, item.target, quality=options.quality, overwrite=options.overwrite
        )
        fields.update(status="converted", reason="faces are drawn, not restored")
        return fields
    changed = bool(result.faces) or getattr(result, "changed", False)
    if not changed:
        same_size = (picture.width, picture.height) == (result.picture.width, result.picture.height)
        if same_size and options.quality is None and item.source.suffix.lower() == item.target.suffix.lower():
            copy_picture(item.source, item.target, overwrite=options.overwrite)
            return {**fields, "status": "copied", "reason": "no face found", "notes": ()}
        fields.update(status="converted", reason="no face found")
    _write_extras(item, picture, result, options)
    provenance = options.provenance if changed else None
    said = write_picture(
        result.picture, item.target, quality=options.quality, provenance=provenance, overwrite=options.overwrite
    )
    return {**fields, "notes": (*result.picture.notes, *said)}


def _write_extras(item: Item, picture: Picture, result: Processed, options: BatchOptions) -> None:
    folder = options.report.parent
    inside = item.target.relative_to(folder) if item.target.is_relative_to(folder) else Path(item.target.name)
    if options.compare and result.picture is not picture:
        write_picture(
            side_by_side(picture, result.picture), (folder / "compare" / inside).with_suffix(".jpg"), quality=92
        )
    if options.save_faces:
        for index, face in enumerate(result.faces):
            for name, crop in (("before", face.crop), ("after", face.restored)):
                if crop is not None:
                    eight = to_depth(as_picture(crop.clamp(0, 1)).pixels, np.uint8)
                    target = folder / "faces" / inside.with_name(f"{inside.stem}_{index:02}_{name}.png")
                    write_picture(Picture(pixels=eight), target)
