"""A film in, the same film with its faces restored out."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, PictureError
from ..film_options import BLOCK, FilmOptions
from ..images.writing import refuse_same_file
from ..options import RestoreOptions
from ..restore import FaceRestorer
from .colours import put_back, to_rgb, upright
from .masks import MaskSource, open_masks
from .moments import DoneFrame, FrameRestoration
from .reading import FilmFrame, FilmInfo, probe, read_frames
from .segments import Segments, fingerprint
from .writing import Encoding, SegmentWriter, choose_encoding, join


@dataclass(frozen=True, kw_only=True)
class FilmProgress:
    """How far a film is. rate: frames a second; left: seconds, None before there is a rate."""

    done: int
    frames: int
    rate: float
    left: float | None


@dataclass(frozen=True, kw_only=True)
class TrackReport:
    """One face along the film: frames first … last, in how many of them it was restored, mean score and size (the
    box's shorter side, pixels)."""

    number: int
    first: int
    last: int
    frames: int
    score: float
    size: float


@dataclass(frozen=True, kw_only=True)
class FilmReport:
    """What was done to a film. flicker: mean absolute second difference of the restored faces after alignment, levels
    of 255, as pasted and as the network gave them; None where no face stayed for three frames. seconds: by step."""

    input: str
    output: str
    frames: int
    faces: int
    cuts: tuple[int, ...]
    tracks: tuple[TrackReport, ...]
    flicker: float | None
    flicker_without_smoothing: float | None
    notes: tuple[str, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def restore_film(
    input: str | Path,
    output: str | Path,
    restorer: FaceRestorer,
    options: RestoreOptions | None = None,
    *,
    film: FilmOptions | None = None,
    masks: Any = None,
    progress: Callable[[FilmProgress], None] | None = None,
) -> FilmReport:
    """Restores the faces of the film `input` into the film `output`, sound and subtitles kept as they are.

    masks: a film or a picture of the same size, white where faces may change. progress: called after each block of
    frames; what it raises ends the run, which `film.resume` goes on with. `output` is there only once all of it is.
    Raises PictureError for what cannot be read or written, or is there already and `film.overwrite` not said;
    InputError for masks of another film; MissingPackageError without PyAV.
    """
    film, options, target = film or FilmOptions(), options or RestoreOptions(), Path(output)
    info = probe(input)
    refuse_same_file(info.path, target)
    if target.exists() and not film.overwrite:
        raise PictureError(f"{target} is there already; give another name, or say overwrite (--overwrite)")
    if info.ends_early and not film.allow_truncated:
        raise PictureError(
            f"{info.path} was cut short: {info.ends_early}; `allow_truncated` (--allow-truncated) restores it as it is"
        )
    encoding, notes = choose_encoding(info, target, codec=film.codec, quality=film.quality, preset=film.preset)
    if info.ends_early:
        notes += (f"the film was cut short: {info.ends_early}",)
    segments = Segments.beside(target, _settings(info, restorer, options, film, encoding, masks))
    with open_masks(masks, info) as mask_source:
        work = _FilmWork(info, restorer, options, film, encoding, segments, mask_source, progress)
        return work.run(target, notes)


class _FilmWork:
    """One run over a film: decode, restore, encode, segment by segment."""

    def __init__(
        self,
        info: FilmInfo,
        restorer: FaceRestorer,
        options: RestoreOptions,
        film: FilmOptions,
        encoding: Encoding,
        segments: Segments,
        masks: MaskSource | None,
        progress: Callable[[FilmProgress], None] | None,
    ) -> None:
        self._info, self._film, self._encoding, self._segments = info, film, encoding, segments
        self._masks, self._progress = masks, progress
        self._frames = FrameRestoration(restorer, options, film.smoothing, owned=True)
        # Frames of one size come and go: used again, they do not leave the memory between them in pieces.
        self._spare: list[NDArray[Any]] = []
        self._done, self._last_duration = 0, 1
        self._next_pts: int | None = None
        self._tracks: dict[int, list[float]] = {}
        self._cuts: list[int] = []
        self._waiting: dict[int, FilmFrame] = {}
        self._began, self._at_start = time.perf_counter(), 0
        self._seconds = {"decode": 0.0, "restore": 0.0, "encode": 0.0}
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
                self._all_frames(state)
        except BaseException:
            if self._writer is not None:
                self._writer.abandon()
            raise
        notes += join(self._segments.finished, self._info, target, self._last_duration)
        self._segments.remove()
        return self._report(target, notes)

    def _all_frames(self, state: Any) -> None:
        start_pts = state[1]["next_pts"] if state is not None else None
        frames = read_frames(self._info, start=self._done, start_pts=start_pts, skip_damaged=self._film.allow_truncated)
        for block in _blocks(self._timed(frames), BLOCK):
            self._restored(self._frames.push([self._opened(frame) for frame in block]))
        if not self._waiting and not self._done:
            raise PictureError(f"{self._info.path}: none of its {self._info.frames} pictures can be decoded")
        for done in self._frames.drain():
            self._restored(done)
        if self._writer is not None:
            self._end_segment(ended=True)

    def _timed(self, frames: Iterator[FilmFrame]) -> Iterator[FilmFrame]:
        while True:
            began = time.perf_counter()
            frame = next(frames, None)
            if frame is None:
                return
            frame.frame = upright(frame.frame, self._info.rotation, self._encoding.pixel_format)
            if (frame.frame.width, frame.frame.height) != (self._info.width, self._info.height):
                raise PictureError(
                    f"{self._info.path} changes size at frame {frame.index}, from {self._info.width}×"
                    f"{self._info.height} to {frame.frame.width}×{frame.frame.height}; cut it there first"
                )
            self._seconds["decode"] += time.perf_counter() - began
            yield frame

    def _opened(self, frame: FilmFrame) -> tuple[int, float, NDArray[Any]]:
        self._waiting[frame.index] = frame
        return frame.index, float(frame.pts * self._info.time_base), self._pixels(frame)

    def _pixels(self, frame: FilmFrame) -> NDArray[Any]:
        return to_rgb(frame.frame, into=self._spare.pop() if self._spare else None)

    def _restored(self, block: list[DoneFrame]) -> None:
        began = time.perf_counter()
        for done in block:
            self._write(done)
        if not block:
            return
        last = block[-1].index
        # Blocks never straddle the end of a segment.
        if (last + 1) % self._film.segment == 0:
            following = self._waiting.get(last + 1)
            self._next_pts = None if following is None else following.pts
            self._end_segment(ended=following is None)
        self._seconds["encode"] += time.perf_counter() - began
        if self._progress is not None:
            rate = (self._done - self._at_start) / max(1e-9, time.perf_counter() - self._began)
            left = max(0, self._info.frames - self._done) / rate if rate else None
            self._progress(FilmProgress(done=self._done, frames=self._info.frames, rate=rate, left=left))

    def _write(self, done: DoneFrame) -> None:
        source = self._waiting.pop(done.index)
        if self._writer is None:
            self._writer = SegmentWriter(self._segments.next_path(), self._info, self._encoding)
        self._writer.write(self._shown(source, done), source.pts)
        self._done = done.index + 1
        self._last_duration = source.duration or max(1, round(1 / (self._info.rate * self._info.time_base)))
        self._spare.append(done.result.decoded.pixels)
        if done.cut:
            self._cuts.append(done.index)
        for number, face in zip(done.numbers, done.result.faces, strict=True):
            first, _, count, score, size = self._tracks.get(number, [done.index, 0, 0, 0.0, 0.0])
            self._tracks[number] = [first, done.index, count + 1, score + face.score, size + face.detection.size]

    def _shown(self, source: FilmFrame, done: DoneFrame) -> Any:
        """The frame to encode: the decoded one, but for what the faces changed."""
        if not done.result.faces:
            return source.frame
        pixels = done.result.decoded.pixels
        changes = [(face.rectangle, (face.mask > 0).numpy()) for face in done.result.faces if face.mask.numel()]
        if self._masks is not None:
            allowed = self._masks.at(source.index)
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
                "tracks": {str(number): sums for number, sums in self._tracks.items()},
            },
        )

    def _take_up(self, tensors: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        self._frames.resume(tensors, values["frames"])
        self._done = self._at_start = values["done"]
        self._last_duration, self._cuts = values["last_duration"], list(values["cuts"])
        self._tracks = {int(number): list(sums) for number, sums in values["tracks"].items()}

    def _report(self, target: Path, notes: tuple[str, ...]) -> FilmReport:
        tracks = tuple(
            TrackReport(number=n, first=int(a), last=int(b), frames=int(k), score=score / k, size=size / k)
            for n, (a, b, k, score, size) in sorted(self._tracks.items())
        )
        flicker = self._frames.flicker
        if self._film.smoothing is None:
            plain = smooth = flicker.without_smoothing
        else:
            plain, smooth = flicker.without_smoothing, flicker.with_smoothing
        self._seconds["restore"] = time.perf_counter() - self._began - self._seconds["decode"] - self._seconds["encode"]
        return FilmReport(
            input=str(self._info.path),
            output=str(target),
            frames=self._done,
            faces=sum(track.frames for track in tracks),
            cuts=tuple(self._cuts),
            tracks=tracks,
            flicker=smooth,
            flicker_without_smoothing=plain,
            notes=notes,
            seconds=dict(self._seconds),
        )


def _blocks(frames: Iterator[FilmFrame], size: int) -> Iterator[list[FilmFrame]]:
    while block := list(itertools.islice(frames, size)):
        yield block


def _settings(
    info: FilmInfo, restorer: FaceRestorer, options: RestoreOptions, film: FilmOptions, encoding: Encoding, masks: Any
) -> dict[str, Any]:
    """All that the frames of the result depend on, as JSON values."""
    if masks is not None and not isinstance(masks, str | Path):
        raise InputError(f"masks of a film are given as {type(masks).__name__}; expected the path of a film or picture")
    card, config = restorer.model.card, restorer.model.config
    return {
        "film": fingerprint(info.path),
        "masks": None if masks is None else fingerprint(Path(masks)),
        "model": f"{card.name} {config.in_size} {config.out_size} {card.value_range}",
        "options": repr(options),
        "smoothing": None if film.smoothing is None else asdict(film.smoothing),
        "segment": film.segment,
        "encoding": asdict(encoding),
        "allow_truncated": film.allow_truncated,
    }
