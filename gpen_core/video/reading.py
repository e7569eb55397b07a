"""Films in: what a file holds, and its frames, upright and in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..errors import PictureError
from .colours import is_rgb, labels_of
from .library import load_av

#: A file whose streams end this much before it says it ends was cut short.
_MISSING_SECONDS, _MISSING_SHARE = 0.5, 0.01


@dataclass(frozen=True, kw_only=True)
class FilmInfo:
    """What is known of a film before it is decoded.

    width, height: upright, pixels. rotation: quarter turns counter-clockwise that make a decoded frame upright.
    frames: pictures in the file. origin: seconds at which its first stream begins. pixel_format: FFmpeg's name.
    ends_early: a sentence where the file is shorter than it says, else None. timestamps: false where the pictures have
    none, and the frame rate is taken for them. colour_labels: FFmpeg's numbers of range, matrix, primaries, transfer.
    """

    path: Path
    width: int
    height: int
    rotation: int
    rate: Fraction
    time_base: Fraction
    frames: int
    origin: Fraction
    pixel_format: str
    codec: str
    timestamps: bool
    ends_early: str | None
    colour_labels: tuple[int, int, int, int]


@dataclass(kw_only=True)
class FilmFrame:
    """One frame: index from 0; pts and duration in the film's time base (duration 0: unknown); `frame`, PyAV's own,
    not turned."""

    index: int
    pts: int
    duration: int
    frame: Any


def probe(path: str | Path) -> FilmInfo:
    """What a film holds; reads all its packets, but decodes only its first picture.

    Raises PictureError where there is no such file, it is no film, has no picture stream or no pictures, or its codec
    is not known to PyAV; MissingPackageError without PyAV.
    """
    path = Path(path)
    with open_film(path) as container:
        stream = picture_stream(container, path)
        rotation = _rotation(container, stream, path)
        context = stream.codec_context
        declared, rate = stream.frames, stream.average_rate or stream.guessed_rate or Fraction(25)
        time_base = stream.time_base or 1 / rate
        labels = (context.color_range, context.colorspace, context.color_primaries, context.color_trc)
        if is_rgb(context.format.name):
            labels = labels_of(context.width, context.height)
        width, height, pixel_format = context.width, context.height, context.format.name
    if not width or not height:
        raise PictureError(f"{path}: its pictures have no size; the file is damaged")
    counted = _count(path)
    if not counted.pictures:
        raise PictureError(f"{path} has a picture stream, but no pictures in it")
    if rotation % 2:
        width, height = height, width
    return FilmInfo(
        path=path,
        width=width,
        height=height,
        rotation=rotation,
        rate=Fraction(rate),
        time_base=Fraction(time_base),
        frames=counted.pictures,
        origin=counted.origin,
        pixel_format=pixel_format,
        codec=context.codec.name,
        timestamps=counted.timestamps,
        ends_early=_ends_early(counted, declared),
        colour_labels=labels,
    )


def read_frames(
    info: FilmInfo, *, start: int = 0, start_pts: int | None = None, skip_damaged: bool = False
) -> Iterator[FilmFrame]:
    """The film's frames from frame `start` on, whose pts is `start_pts`; one is held at a time.

    Timestamps rise from frame to frame, whatever the file says. skip_damaged: what cannot be decoded is left out.
    Raises PictureError at the first damage otherwise.
    """
    if start and start_pts is not None and info.timestamps:
        try:
            yield from _from_keyframe(info, start, start_pts, skip_damaged)
            return
        except _NoSuchFrame:
            pass
    last = None
    for index, frame in enumerate(_decoded(info, None, skip_damaged)):
        pts = _pts(frame, index, info, last)
        last = pts
        if index >= start:
            yield FilmFrame(index=index, pts=pts, duration=int(frame.duration or 0), frame=frame)


class _NoSuchFrame(Exception):
    """Seeking did not lead to the frame."""


def _from_keyframe(info: FilmInfo, start: int, start_pts: int, skip_damaged: bool) -> Iterator[FilmFrame]:
    index, last = start, None
    for frame in _decoded(info, start_pts, skip_damaged):
        if last is None:
            if frame.pts is None or frame.pts > start_pts:
                raise _NoSuchFrame
            if frame.pts < start_pts:
                continue
        pts = _pts(frame, index, info, last)
        last = pts
        yield FilmFrame(index=index, pts=pts, duration=int(frame.duration or 0), frame=frame)
        index += 1
    if last is None:
        raise _NoSuchFrame


def _pts(frame: Any, index: int, info: FilmInfo, last: int | None) -> int:
    if info.timestamps and frame.pts is not None:
        pts = int(frame.pts)
    elif info.timestamps and last is not None:
        pts = last + max(1, round(1 / (info.rate * info.time_base)))
    else:
        pts = round(index / (info.rate * info.time_base))
    return pts if last is None else max(pts, last + 1)


def _decoded(info: FilmInfo, seek_to: int | None, skip_damaged: bool) -> Iterator[Any]:
    """PyAV's frames of the film's picture stream, from the start or from the keyframe before `seek_to`."""
    av = load_av()
    with open_film(info.path) as container:
        stream = picture_stream(container, info.path)
        stream.thread_type = "AUTO"
        done = 0
        try:
            if seek_to is not None:
                container.seek(seek_to, stream=stream, backward=True)
        except av.FFmpegError as error:
            raise _NoSuchFrame from error
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
                frames = packet.decode()
            except StopIteration:
                return
            except av.FFmpegError as error:
                if isinstance(error, av.EOFError):
                    return
                if not skip_damaged:
                    raise PictureError(
                        f"{info.path} cannot be decoded after {done} frames ({error.strerror}); `allow_truncated` "
                        "(--allow-truncated) goes on with what can"
                    ) from error
                continue
            done += len(frames)
            yield from frames


def open_film(path: Path) -> Any:
    """PyAV's container of a film, open for reading. Raises PictureError where it cannot be."""
    av = load_av()
    if not path.is_file():
        raise PictureError(f"{path}: no such file")
    try:
        # Unknown bytes in titles and the like are no reason to refuse a film.
        return av.open(str(path), metadata_errors="replace")
    except av.FFmpegError as error:
        raise PictureError(
            f"{path} cannot be opened as a film ({error.strerror}); it is of another kind, empty, or cut short "
            "before its index"
        ) from error


def picture_stream(container: Any, path: Path) -> Any:
    """The film's picture stream, cover art set aside. Raises PictureError without one, or without its decoder."""
    av = load_av()
    streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not streams:
        kinds = sorted({s.type for s in container.streams if s.type}) or ["no stream"]
        raise PictureError(f"{path} has no picture stream, only {', '.join(kinds)}; give a film")
    stream = max(streams, key=lambda s: (bool(s.disposition & av.stream.Disposition.default), -s.index))
    if stream.codec_context is None:
        raise PictureError(f"{path}: this PyAV has no decoder for its pictures; convert the film to H.264 first")
    return stream


def _rotation(container: Any, stream: Any, path: Path) -> int:
    """Quarter turns counter-clockwise that make a decoded frame upright, from the first picture's display matrix."""
    av = load_av()
    try:
        for frame in container.decode(stream):
            return round(float(frame.rotation) / 90) % 4
    except av.FFmpegError as error:
        raise PictureError(f"{path}: its first picture cannot be decoded ({error.strerror})") from error
    raise PictureError(f"{path} has a picture stream, but no pictures in it")


@dataclass(frozen=True, kw_only=True)
class _Counted:
    pictures: int
    timestamps: bool
    origin: Fraction
    end: Fraction
    promised_end: Fraction | None
    damage: str | None


def _count(path: Path) -> _Counted:
    """A pass over the packets, which costs reading the file and no decoding."""
    av = load_av()
    pictures, stamped, damage = 0, True, None
    first: Fraction | None = None
    end = Fraction(0)
    with open_film(path) as container:
        stream = picture_stream(container, path)
        packets = container.demux()
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except av.FFmpegError as error:
                damage = error.strerror
                break
            if not packet.size:
                continue
            time = None if packet.pts is None else packet.pts * packet.time_base
            if packet.stream is stream:
                pictures += 1
                stamped &= time is not None
            if time is not None:
                first = time if first is None else min(first, time)
                end = max(end, time + (packet.duration or 0) * packet.time_base)
        promised = None
        if container.duration is not None:
            promised = Fraction(container.duration + max(container.start_time or 0, 0), av.time_base)
    return _Counted(
        pictures=pictures,
        timestamps=stamped,
        origin=first or Fraction(0),
        end=end,
        promised_end=promised,
        damage=damage,
    )


def _ends_early(counted: _Counted, declared: int) -> str | None:
    if counted.damage is not None:
        return f"it is damaged after {counted.pictures} frames ({counted.damage})"
    if declared > counted.pictures:
        return f"it ends after {counted.pictures} of {declared} frames"
    promised = counted.promised_end
    if promised is not None and promised - counted.end > max(_MISSING_SECONDS, _MISSING_SHARE * promised):
        return f"it ends at {float(counted.end):.2f} of {float(promised):.2f} seconds"
    return None
