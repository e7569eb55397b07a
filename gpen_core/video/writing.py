"""Films out: closed segments, then one file of them with the input's sound."""

from __future__ import annotations

import errno
import heapq
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..errors import InputError, PictureError
from ..images.writing import replacing
from .colours import working_format
from .library import load_av
from .reading import FilmInfo, open_film, picture_stream

#: Suffix → container, by FFmpeg's names, and the codec that is used where none is asked for.
CONTAINERS = {
    ".mp4": ("mp4", "libx264"),
    ".m4v": ("mp4", "libx264"),
    ".mov": ("mov", "libx264"),
    ".mkv": ("matroska", "libx264"),
    ".webm": ("webm", "libvpx-vp9"),
}
#: Pictures that x264 looks ahead at to share out the bits.
_LOOKAHEAD = "12"
#: Holds any codec and any time base exactly.
_SEGMENT_CONTAINER = "nut"
#: What a file says of itself, not of the film.
_OF_THE_FILE = ("encoder", "major_brand", "minor_version", "compatible_brands")


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How pictures are encoded: FFmpeg's names of codec and pixel format, and the codec's options."""

    codec: str
    pixel_format: str
    options: tuple[tuple[str, str], ...]


def choose_encoding(
    info: FilmInfo, output: Path, *, codec: str | None, quality: int, preset: str
) -> tuple[Encoding, tuple[str, ...]]:
    """How the film `output` is encoded, and notes on what its codec cannot keep of the input.

    quality: the codec's constant rate factor, lower is better. Raises PictureError for a suffix that is no film's, or
    a codec that PyAV lacks.
    """
    av = load_av()
    if output.suffix.lower() not in CONTAINERS:
        raise PictureError(f"{output}: films are written as {', '.join(CONTAINERS)}; give one of these suffixes")
    name = codec or CONTAINERS[output.suffix.lower()][1]
    try:
        formats = [f.name for f in av.codec.Codec(name, "w").video_formats or []]
    except (av.FFmpegError, ValueError) as error:
        raise PictureError(
            f"this PyAV has no encoder called {name!r}; leave the codec out for the usual one"
        ) from error
    wanted, notes = working_format(info.pixel_format, info.width, info.height), []
    if wanted.startswith("yuv444") and "444" not in info.pixel_format:
        notes.append(
            f"its sides, {info.width}×{info.height}, are odd: it is encoded without chroma subsampling (4:4:4)"
        )
    if formats and wanted not in formats and wanted.endswith("10le"):
        wanted = wanted.removesuffix("10le")
        notes.append(f"{name} is built for 8 bits here; the film's {info.pixel_format} was rounded to them")
    if formats and wanted not in formats:
        raise PictureError(f"{name} does not take {wanted} pictures; choose another codec, such as libx264")
    # Without pictures that refer forward, decoding order is the order of time, and segments join without a gap.
    options = [("crf", str(quality)), ("preset", preset), ("bf", "0")]
    if name == "libx264":
        # The frames it looks ahead at are held in memory, about 5 MB each at 1280×720; 40 by default.
        options.append(("rc-lookahead", _LOOKAHEAD))
    if name.startswith("libvpx"):
        options = [("crf", str(quality + 12)), ("b", "0"), ("cpu-used", "3"), ("row-mt", "1"), ("auto-alt-ref", "0")]
        options += [("lag-in-frames", "0")]
    return Encoding(codec=name, pixel_format=wanted, options=tuple(options)), tuple(notes)


class SegmentWriter:
    """Encodes frames into one closed segment: the first is a keyframe, nothing refers beyond its ends."""

    def __init__(self, path: Path, info: FilmInfo, encoding: Encoding) -> None:
        av = load_av()
        self._path = path
        self._time_base = info.time_base
        with no_space_named(path):
            self._file = path.open("wb")
            self._container = av.open(self._file, "w", format=_SEGMENT_CONTAINER)
            self._stream = self._container.add_stream(
                encoding.codec, rate=info.rate.limit_denominator(65535), options=dict(encoding.options)
            )
        context = self._stream.codec_context
        context.width, context.height, context.pix_fmt = info.width, info.height, encoding.pixel_format
        context.time_base = info.time_base
        self._stream.time_base = info.time_base
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = info.colour_labels

    def write(self, frame: Any, pts: int) -> None:
        """Encodes PyAV's frame (pixel format and size as the encoding's) for the time `pts`."""
        av = load_av()
        frame.pts, frame.time_base = pts, self._time_base
        frame.pict_type = av.video.frame.PictureType.NONE
        with no_space_named(self._path):
            self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Ends the segment; it is on disk when this returns."""
        with no_space_named(self._path):
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def abandon(self) -> None:
        """Closes what is open, whatever state it is in."""
        with suppress(OSError, ValueError, load_av().FFmpegError):
            # An encoder that still holds pictures must be emptied before it may go.
            for _ in self._stream.encode(None):
                pass
            self._container.close()
        self._file.close()


@contextmanager
def no_space_named(path: Path) -> Iterator[None]:
    """Turns a full disk, and an encoder's refusal, into PictureError naming `path`."""
    av = load_av()
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise PictureError(
                f"no space left to write {path}; free some and go on with `resume` (--resume)"
            ) from error
        if isinstance(error, av.FFmpegError):
            raise PictureError(f"{path} cannot be written: {error}") from error
        raise
    except av.FFmpegError as error:
        raise PictureError(f"{path} cannot be encoded: {error}") from error


def join(
    segments: Sequence[Path],
    info: FilmInfo,
    output: Path,
    last_duration: int,
    *,
    written: Callable[[Path, tuple[str, ...]], None],
) -> None:
    """Writes `output`: the segments' pictures one after the other, with the input's sound and subtitles as they are,
    packet by packet; to a temporary name that is renamed.

    last_duration: of the last picture, in the film's time base. written: told that temporary name when all is in it,
    and notes on streams that could not be kept. Raises PictureError when it cannot be written.
    """
    av = load_av()
    notes: list[str] = []
    container_format = CONTAINERS[output.suffix.lower()][0]
    with replacing(output) as file, no_space_named(output):
        with (
            av.open(str(segments[0])) as first,
            open_film(info.path) as source,
            av.open(file, "w", format=container_format) as target,
        ):
            target.metadata.update({k: v for k, v in source.metadata.items() if k.lower() not in _OF_THE_FILE})
            pictures = target.add_stream_from_template(first.streams.video[0])
            pictures.time_base = info.time_base
            kept = _other_streams(source, picture_stream(source, info.path), target, notes)
            # The file's own clock may begin anywhere; a film begins at zero.
            origin = max(info.origin, Fraction(0))
            moved = _moved(_sound(source, kept), origin)
            for packet in _by_time(_moved(_pictures(segments, pictures, info, last_duration), origin), moved):
                target.mux(packet)
        file.flush()
        os.fsync(file.fileno())
        written(Path(file.name), tuple(notes))


def _other_streams(source: Any, picture: Any, target: Any, notes: list[str]) -> dict[int, Any]:
    """Sound and subtitles of `source` that `target` can hold: index → the stream made for it."""
    av = load_av()
    kept = {}
    supported = target.supported_codecs
    for stream in source.streams:
        if stream is picture or stream.type not in ("audio", "subtitle"):
            continue
        name = stream.codec_context.name if stream.codec_context is not None else None
        canonical = None if stream.codec_context is None else stream.codec_context.codec.canonical_name
        if name is None or (name not in supported and canonical not in supported):
            notes.append(
                f"its {stream.type} ({name or 'unknown codec'}) does not fit into {target.format.name}; it was left out"
            )
            continue
        try:
            kept[stream.index] = target.add_stream_from_template(stream)
        except (av.FFmpegError, ValueError) as error:
            notes.append(f"its {stream.type} ({name}) could not be kept: {error}")
            continue
        kept[stream.index].metadata.update(stream.metadata)
    return kept


def _pictures(segments: Sequence[Path], stream: Any, info: FilmInfo, last_duration: int) -> Iterator[Any]:
    """The segments' packets in order, each lasting until the next."""
    av = load_av()
    held = None
    for path in segments:
        with av.open(str(path)) as container:
            for packet in container.demux(video=0):
                if packet.size == 0:
                    continue
                packet.pts = round(packet.pts * packet.time_base / info.time_base)
                packet.dts, packet.time_base = packet.pts, info.time_base
                packet.stream = stream
                if held is not None:
                    held.duration = max(1, packet.pts - held.pts)
                    yield held
                held = packet
    if held is None:
        raise InputError(f"the segments of {info.path} hold no pictures")
    held.duration = max(1, last_duration)
    yield held


def _sound(source: Any, kept: dict[int, Any]) -> Iterator[Any]:
    av = load_av()
    if not kept:
        return
    packets = source.demux([source.streams[index] for index in kept])
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError:
            return  # A damaged end was spoken of when the pictures were read.
        if packet.size and packet.dts is not None:
            packet.stream = kept[packet.stream_index]
            yield packet


def _moved(packets: Iterator[Any], origin: Fraction) -> Iterator[Any]:
    """Packets as many seconds earlier as `origin` says."""
    for packet in packets:
        shift = round(origin / packet.time_base)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        yield packet


def _by_time(*sources: Iterator[Any]) -> Iterator[Any]:
    """Packets of several sources, each in order, the earliest first; one of each is held."""
    return heapq.merge(*sources, key=lambda packet: packet.dts * packet.time_base)
