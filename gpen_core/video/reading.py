"""The frames of a film, in order, from the start or from the middle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DeviceError, PictureError
from .library import load_av

if TYPE_CHECKING:
    from ..film_options import Decoder
    from .info import FilmInfo


@dataclass(kw_only=True)
class FilmFrame:
    """One frame: index from 0; pts and duration in the film's time base (duration 0: unknown); `frame`, PyAV's own,
    not turned."""

    index: int
    pts: int
    duration: int
    frame: Any


def read_frames(
    info: FilmInfo,
    *,
    start: int = 0,
    start_pts: int | None = None,
    skip_damaged: bool = False,
    decoder: Decoder = "cpu",
) -> Iterator[FilmFrame]:
    """The film's frames from frame `start` on, whose pts is `start_pts`; one is held at a time.

    Timestamps rise from frame to frame, whatever the file says. skip_damaged: what cannot be decoded is left out.
    Raises PictureError at the first damage otherwise, DeviceError where `decoder` is not to be had.
    """
    if start and start_pts is not None and info.timestamps:
        try:
            yield from _from_keyframe(info, start, start_pts, skip_damaged, decoder)
            return
        except _NoSuchFrame:
            pass
    last = None
    for index, frame in enumerate(_decoded(info, None, skip_damaged, decoder)):
        pts = _pts(frame, index, info, last)
        last = pts
        if index >= start:
            yield FilmFrame(index=index, pts=pts, duration=int(frame.duration or 0), frame=frame)


class _NoSuchFrame(Exception):
    """Seeking did not lead to the frame."""


def _from_keyframe(
    info: FilmInfo, start: int, start_pts: int, skip_damaged: bool, decoder: Decoder
) -> Iterator[FilmFrame]:
    index, last = start, None
    for frame in _decoded(info, start_pts, skip_damaged, decoder):
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


def _decoded(info: FilmInfo, seek_to: int | None, skip_damaged: bool, decoder: Decoder) -> Iterator[Any]:
    """PyAV's frames of the film's picture stream, from the start or from the keyframe before `seek_to`."""
    av = load_av()
    with open_film(info.path, decoder) as container:
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


def frames_along(info: FilmInfo, count: int, decoder: Decoder = "cpu") -> Iterator[Any]:
    """PyAV's frames, not turned, of `count` places spread evenly over the wanted part: of each the keyframe before it.

    Fewer where the film cannot be sought in, or is damaged there. Raises as `open_film`.
    """
    av = load_av()
    wanted = info.span.pictures
    with open_film(info.path, decoder) as container:
        stream = picture_stream(container, info.path)
        began, a_frame = stream.start_time or 0, 1 / (info.rate * info.time_base)
        for place in range(count):
            index = wanted.start + (2 * place + 1) * len(wanted) // (2 * count)
            try:
                container.seek(began + round(index * a_frame), stream=stream, backward=True)
                yield next(container.decode(stream))
            except (av.FFmpegError, StopIteration):
                continue


def open_film(path: Path, decoder: Decoder = "cpu") -> Any:
    """PyAV's container of a film, open for reading. Raises PictureError where it cannot be, DeviceError where the
    decoder is not to be had."""
    av = load_av()
    if not path.is_file():
        raise PictureError(f"{path}: no such file")
    if decoder == "cuda":
        return _open_on_cuda(path)
    try:
        # Unknown bytes in titles and the like are no reason to refuse a film.
        return av.open(str(path), metadata_errors="replace")
    except av.FFmpegError as error:
        raise PictureError(
            f"{path} cannot be opened as a film ({error.strerror}); it is of another kind, empty, or cut short "
            "before its index"
        ) from error


def _open_on_cuda(path: Path) -> Any:
    """Frames come back into the processor's memory: what no face changes goes on as it was decoded."""
    av = load_av()
    try:
        from av.codec.hwaccel import HWAccel

        acceleration = HWAccel(device_type="cuda", allow_software_fallback=False)
        return av.open(str(path), metadata_errors="replace", hwaccel=acceleration)
    except (ImportError, NotImplementedError, RuntimeError, av.FFmpegError) as error:
        # a RuntimeError: of films in codecs that no such decoder knows, as ProRes and FFV1
        raise DeviceError(
            f"{path} cannot be decoded by CUDA on this machine ({getattr(error, 'strerror', None) or error}); leave "
            "`decoder` (--decoder) at cpu"
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
