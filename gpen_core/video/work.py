"""One run over a film: decode, restore, encode, segment by segment.

Frames are pasted and encoded by a thread of its own, a block behind the one that looks for faces and restores them.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..errors import PictureError
from ..film_options import BLOCK, FilmOptions
from ..images import Picture
from ..threads import OneThread
from .colours import from_rgb, put_back, to_rgb, upright
from .encoding import Encoding
from .figures import TrackFigures
from .flicker import Flicker
from .info import FilmInfo
from .masks import MaskSource
from .moments import DoneFrame
from .reading import FilmFrame, read_frames
from .report import FilmProgress, FilmReport
from .segments import Segments
from .streams import Carriage
from .writing import SegmentWriter, join


class Frames(Protocol):
    """What is done to a film's frames, block by block: they are restored, or only marked."""

    @property
    def flicker(self) -> Flicker:
        """So far."""

    @property
    def spared(self) -> tuple[int, ...]:
        """Tracks that are left as they are, so far."""

    def push(self, frames: Sequence[tuple[int, float, Any]], /) -> Iterator[DoneFrame] | None:
        """Takes the next block: (index, time in seconds, picture) per frame; gives a block that is done, if any, in
        the order of those pushed. Its frames may be taken by another thread."""

    def drain(self) -> Iterator[Iterator[DoneFrame]]:
        """The blocks still under way, after the last `push`."""

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that `resume` needs to go on after the last block that was given out, and all of it taken: tensors, and
        JSON values."""

    def resume(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any], /) -> None:
        """Goes on from a `state`."""


class FilmWork:
    """One run over a film: decode, restore, encode, segment by segment; it can be taken up again after each.

    masks, progress: as `restore_film` has them; beside: whether frames are pasted, on one core, while the next ones
    are restored, or with all cores before that; the rest says how.
    """

    def __init__(
        self,
        info: FilmInfo,
        frames: Frames,
        film: FilmOptions,
        encoding: Encoding,
        carriage: Carriage,
        segments: Segments,
        masks: MaskSource | None,
        progress: Callable[[FilmProgress], None] | None,
        beside: bool,
    ) -> None:
        self._info, self._film, self._encoding, self._segments = info, film, encoding, segments
        self._frames, self._carriage, self._masks, self._progress = frames, carriage, masks, progress
        # Frames of one size come and go: used again, they do not leave the memory between them in pieces.
        self._spare: list[NDArray[Any]] = []
        self._done, self._last_duration = 0, 1
        self._next_pts = info.span.first_pts
        self._tracks = TrackFigures()
        self._cuts: list[int] = []
        # Blocks that have been decoded and not given out; their order is that of the film.
        self._waiting: deque[list[FilmFrame]] = deque()
        self._beside = beside
        self._writing: Future[None] | None = None
        self._began, self._at_start = time.perf_counter(), 0
        self._seconds, self._seconds_before = {"decode": 0.0, "restore": 0.0, "encode": 0.0}, 0.0
        self._writer: SegmentWriter | None = None

    def run(self, target: Path, notes: tuple[str, ...]) -> FilmReport:
        """The whole film, or what an earlier run left of it."""
        state = self._segments.take_up() if self._film.resume else None
        if state is None:
            self._segments.begin()
        else:
            self._take_up(*state)
        try:
            if state is None or not state[1]["ended"]:
                with OneThread(cores=1 if self._beside else None) as hand:
                    self._all_frames(hand)
        finally:
            if self._writing is not None:
                # What is under way needs the writer until it ends.
                wait([self._writing])
            # A segment that is whole has no writer any more.
            if self._writer is not None:
                self._writer.abandon()
        notes += tuple(self._segments.notes)
        report: list[FilmReport] = []

        def seal(film: Path, more: tuple[str, ...]) -> None:
            report.append(self._report(target, notes + more))
            self._segments.seal(film, report[0])

        join(
            self._segments.finished,
            self._info,
            target,
            self._last_duration,
            carriage=self._carriage,
            written=seal,
        )
        return self._segments.conclude() or report[0]

    def _all_frames(self, hand: Executor) -> None:
        frames = read_frames(
            self._info,
            start=self._info.span.pictures.start + self._done,
            start_pts=self._next_pts,
            skip_damaged=self._film.allow_truncated,
            decoder=self._film.decoder,
        )
        timed = self._timed(frames)
        while block := list(itertools.islice(timed, BLOCK)):
            self._waiting.append(block)
            self._hand_over(self._frames.push([self._opened(frame) for frame in block]), hand)
        if not self._waiting and not self._done:
            raise PictureError(f"{self._info.path}: none of its {self._info.frames} pictures can be decoded")
        for done in self._frames.drain():
            self._hand_over(done, hand)
        self._wait()
        if self._writer is not None:
            self._end_segment(ended=True)

    def _timed(self, frames: Iterator[FilmFrame]) -> Iterator[FilmFrame]:
        while True:
            began = time.perf_counter()
            frame = next(frames, None)
            if frame is None or frame.index >= self._info.span.pictures.stop:
                return
            frame.index -= self._info.span.pictures.start
            frame.frame = upright(frame.frame, self._info.orientation, self._encoding.pixel_format)
            if (frame.frame.width, frame.frame.height) != (self._info.width, self._info.height):
                raise PictureError(
                    f"{self._info.path} changes size at frame {frame.index}, from {self._info.width}×"
                    f"{self._info.height} to {frame.frame.width}×{frame.frame.height}; cut it there first"
                )
            self._seconds["decode"] += time.perf_counter() - began
            yield frame

    def _opened(self, frame: FilmFrame) -> tuple[int, float, Picture]:
        picture = Picture(pixels=self._pixels(frame), pixel_aspect=self._info.aspect)
        return frame.index, float(frame.pts * self._info.time_base), picture

    def _pixels(self, frame: FilmFrame) -> NDArray[Any]:
        return to_rgb(frame.frame, into=self._spare.pop() if self._spare else None)

    def _hand_over(self, block: Iterator[DoneFrame] | None, hand: Executor) -> None:
        """Has a block pasted and encoded by `hand`, which what comes next waits for only where it must."""
        if block is None:
            return
        self._wait()
        sources = self._waiting.popleft()
        self._writing = hand.submit(self._write_all, sources, block)
        # Blocks never straddle the end of a segment.
        ends = (sources[-1].index + 1) % self._film.segment == 0
        if ends or not self._beside:
            self._wait(ends=ends)

    def _wait(self, *, ends: bool = False) -> None:
        """Until what was handed over is written, and its segment closed if it ends there; says how far the film is."""
        if self._writing is None:
            return
        began, writing, self._writing = time.perf_counter(), self._writing, None
        writing.result()
        if ends:
            self._next_pts = self._waiting[0][0].pts if self._waiting else None
            self._end_segment(ended=not self._waiting)
        self._seconds["encode"] += time.perf_counter() - began
        if self._progress is not None:
            rate = (self._done - self._at_start) / max(1e-9, time.perf_counter() - self._began)
            wanted = len(self._info.span.pictures)
            left = max(0, wanted - self._done) / rate if rate else None
            self._progress(FilmProgress(done=self._done, frames=wanted, rate=rate, left=left))

    def _write_all(self, sources: Sequence[FilmFrame], block: Iterator[DoneFrame]) -> None:
        for source, done in zip(sources, block, strict=True):
            self._write(source, done)

    def _write(self, source: FilmFrame, done: DoneFrame) -> None:
        if self._writer is None:
            self._writer = SegmentWriter(self._segments.next_path(), self._info, self._encoding)
        self._writer.write(self._shown(source, done), source.pts)
        self._done = done.index + 1
        self._last_duration = source.duration or max(1, round(1 / (self._info.rate * self._info.time_base)))
        if self._encoding.scale == 1 and len(self._spare) < BLOCK:
            self._spare.append(done.picture.pixels)
        if done.cut:
            self._cuts.append(done.index)
        self._tracks.add(done)

    def _shown(self, source: FilmFrame, done: DoneFrame) -> Any:
        """The frame to encode: the decoded one, but for what the faces changed; a larger one is made anew."""
        pixels, changes = done.picture.pixels, list(done.changes)
        if self._encoding.scale != 1:
            return from_rgb(pixels, source.frame)
        if not changes:
            return source.frame
        if self._masks is not None:
            allowed = self._masks.at(self._info.span.pictures.start + done.index)
            before = to_rgb(source.frame)
            pixels = np.rint(before + allowed[..., None] * (pixels.astype(np.float32) - before)).astype(before.dtype)
            changes = [((x1, y1, x2, y2), c & (allowed[y1:y2, x1:x2] > 0)) for (x1, y1, x2, y2), c in changes]
        return put_back(source.frame, pixels, changes)

    def _end_segment(self, *, ended: bool) -> None:
        assert self._writer is not None
        self._writer.close()
        self._writer = None
        tensors, values = self._frames.state()
        self._segments.finish(
            tensors,
            {
                "frames": values,
                "done": self._done,
                "next_pts": self._next_pts,
                "ended": ended,
                "last_duration": self._last_duration,
                "cuts": self._cuts,
                "tracks": self._tracks.state(),
                "seconds": self._all_seconds(),
            },
        )

    def _take_up(self, tensors: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        self._frames.resume(tensors, values["frames"])
        self._done = self._at_start = values["done"]
        self._last_duration, self._cuts = values["last_duration"], list(values["cuts"])
        self._tracks = TrackFigures.from_state(values["tracks"])
        self._next_pts = values["next_pts"]
        self._seconds = dict(values["seconds"])
        self._seconds_before = sum(self._seconds.values())

    def _all_seconds(self) -> dict[str, float]:
        """Seconds by step, those of an earlier run among them; what is neither decoding nor encoding is restoring."""
        whole = self._seconds_before + time.perf_counter() - self._began
        return {**self._seconds, "restore": whole - self._seconds["decode"] - self._seconds["encode"]}

    def _report(self, target: Path, notes: tuple[str, ...]) -> FilmReport:
        tracks, flicker = self._tracks.reports(), self._frames.flicker
        smooth = flicker.without_smoothing if self._film.smoothing is None else flicker.with_smoothing
        seconds = self._all_seconds()
        return FilmReport(
            input=str(self._info.path),
            output=str(target),
            frames=self._done,
            faces=sum(track.frames for track in tracks),
            cuts=tuple(self._cuts),
            tracks=tracks,
            flicker=smooth,
            flicker_without_smoothing=flicker.without_smoothing,
            flicker_of_source=flicker.of_source,
            notes=notes,
            seconds=seconds,
            frames_before=self._at_start,
            spared=self._frames.spared,
        )
