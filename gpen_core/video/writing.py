"""Films out: closed segments, then one file of them with the input's sound."""

from __future__ import annotations

import errno
import heapq
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import InputError, PictureError
from ..images.writing import whole_file
from .colours import convert, plane_view
from .encoding import CONTAINERS, Encoding
from .info import FilmInfo, Span
from .inventory import lost, take_inventory
from .library import load_av
from .reading import open_film, picture_stream
from .streams import Carriage, Copied, EncodedSound, carry, describe

#: Holds any codec and any time base exactly.
_SEGMENT_CONTAINER = "nut"
#: Tags that a container writes about itself.
_OF_THE_FILE = ("encoder", "major_brand", "minor_version", "compatible_brands")
#: Cameras' own names of tags, which MP4 keeps in a list of its own or not at all.
_OWN_TAGS = ("com.apple.", "com.android.")


class SegmentWriter:
    """Encodes frames into one closed segment: the first is a keyframe, nothing refers beyond its ends."""

    def __init__(self, path: Path, info: FilmInfo, encoding: Encoding) -> None:
        av = load_av()
        self._path = path
        self._time_base, self._format = info.time_base, encoding.coded_format
        with no_space_named(path):
            self._file = path.open("wb")
            self._container = av.open(self._file, "w", format=_SEGMENT_CONTAINER)
            self._stream = self._container.add_stream(
                encoding.codec, rate=info.rate.limit_denominator(65535), options=dict(encoding.options)
            )
        context = self._stream.codec_context
        context.width, context.height = encoding.scale * info.width, encoding.scale * info.height
        context.pix_fmt = encoding.coded_format
        context.time_base = info.time_base
        if info.pixel_aspect is not None:
            context.sample_aspect_ratio = info.pixel_aspect
        self._stream.time_base = info.time_base
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = info.colour_labels
        self._fields = _FieldLabel(encoding.fields) if encoding.fields else None

    def write(self, frame: Any, pts: int) -> None:
        """Encodes PyAV's frame (pixel format and size as the encoding's) for the time `pts`."""
        av = load_av()
        frame.pts, frame.time_base = pts, self._time_base
        frame = convert(frame, self._format)
        if self._fields is not None:
            frame = self._fields.applied(frame)
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
        with suppress(OSError):
            # What is still buffered finds no space either; why the segment is given up has been said.
            self._file.close()


class _FieldLabel:
    """Says of frames that they are two fields, `first` ("top" or "bottom") first: PyAV has no other way to."""

    def __init__(self, first: str) -> None:
        self._mode = {"top": "tff", "bottom": "bff"}[first]
        self._graph: Any = None

    def applied(self, frame: Any) -> Any:
        """The frame, so labelled."""
        if self._graph is None:
            self._graph = load_av().filter.Graph()
            name, base = frame.format.name, frame.time_base
            given = self._graph.add_buffer(width=frame.width, height=frame.height, format=name, time_base=base)
            label = self._graph.add("setfield", f"mode={self._mode}")
            self._graph.link_nodes(given, label, self._graph.add("buffersink")).configure()
        self._graph.push(frame)
        return self._graph.pull()


def black_segment(info: FilmInfo, encoding: Encoding) -> bytes:
    """A segment of one black picture, as the film's are going to be. Raises PictureError where the codec does not
    open on this machine, or there are no pictures as large."""
    av, size = load_av(), (encoding.scale * info.width, encoding.scale * info.height)
    try:
        frame = av.VideoFrame(*size, encoding.pixel_format)
    except av.FFmpegError as error:
        larger = "" if encoding.scale == 1 else f", {encoding.scale} times the film's {info.width}×{info.height}"
        raise PictureError(
            f"FFmpeg has no pictures of {size[0]}×{size[1]}{larger}; give a smaller scale (--upscale)"
        ) from error
    for k in range(3):
        plane_view(frame, k)[:] = 0
    with tempfile.TemporaryDirectory() as folder:
        writer = SegmentWriter(Path(folder, "black.nut"), info, encoding)
        try:
            writer.write(frame, 0)
            writer.close()
        except PictureError as error:
            writer.abandon()
            raise PictureError(
                f"{encoding.codec} does not encode {size[0]}×{size[1]} pictures here ({error.__cause__}); "
                "choose another codec, such as libx264"
            ) from error
        return Path(folder, "black.nut").read_bytes()


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
    carriage: Carriage,
    written: Callable[[Path, tuple[str, ...]], None],
) -> None:
    """Writes `output`: the segments' pictures one after the other, with what `carriage` says of the input's other
    streams, its chapters and tags; to a temporary name that is renamed.

    last_duration: of the last picture, in the film's time base. written: told that temporary name when all is in it,
    and notes on what is in the input and not in it. Raises PictureError when it cannot be written.
    """
    av = load_av()
    with whole_file(output) as file, no_space_named(output):
        with (
            av.open(str(segments[0])) as first,
            open_film(info.path) as source,
            av.open(
                file,
                "w",
                format=CONTAINERS[output.suffix.lower()][0],
                # The same film is the same file: no random numbers in it.
                container_options={"fflags": "+bitexact", **_own_tags(source)},
            ) as target,
        ):
            target.metadata.update({k: v for k, v in source.metadata.items() if k.lower() not in _OF_THE_FILE})
            pictures = target.add_stream_from_template(first.streams.video[0], opaque=True)
            pictures.time_base, pictures.codec_context.framerate = info.time_base, info.rate.limit_denominator(65535)
            describe(pictures, picture_stream(source, info.path))
            carried = carry(source, target, carriage)
            target.set_chapters(_chapters(source, info.span))
            target.start_encoding()
            shown = _moved(_pictures(segments, pictures, info, last_duration), info.span)
            for packet in _by_time(shown, _moved(_beside(source, carried, info.span), info.span)):
                target.mux(packet)
        file.flush()
        os.fsync(file.fileno())
        missing = (*_lost(info, Path(file.name), CONTAINERS[output.suffix.lower()][0]), *_not_heard(carried))
        written(Path(file.name), missing)


def _own_tags(source: Any) -> dict[str, str]:
    """MP4 keeps either the tags that players know, or a camera's own; the others ignore this."""
    return {"movflags": "use_metadata_tags"} if any(key.startswith(_OWN_TAGS) for key in source.metadata) else {}


def _lost(info: FilmInfo, result: Path, kind: str) -> Iterator[str]:
    with open_film(result) as container:
        pictures = picture_stream(container, result)
        after = take_inventory(container, pictures, next(container.decode(pictures)))
    return lost(info.inventory, after, kind)


def _not_heard(carried: Mapping[int, Copied | EncodedSound]) -> Iterator[str]:
    for one in carried.values():
        if one.left_out:
            many = "s" if one.left_out > 1 else ""
            yield f"{one.left_out} packet{many} of its sound, damaged or out of order, left out"


def _chapters(source: Any, span: Span) -> list[Any]:
    """The chapters of that part of the film, counted from its beginning."""
    moved = []
    for chapter in source.chapters():
        base = chapter["time_base"]
        first, stop = span.start / base, chapter["end"] if span.stop is None else span.stop / base
        start, end = max(chapter["start"], first), min(chapter["end"], stop)
        if start < end:
            moved.append({**chapter, "start": round(start - first), "end": round(end - first)})
    return moved


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


def _beside(source: Any, carried: Mapping[int, Copied | EncodedSound], span: Span) -> Iterator[Any]:
    """The packets of all that is carried beside the pictures, as far as they belong to that part of the film."""
    av = load_av()
    if not carried:
        return
    if span.first_pts is not None:
        source.seek(int(span.start * av.time_base))
    packets = source.demux([source.streams[index] for index in carried])
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            break
        except av.FFmpegError:
            break  # A damaged end was spoken of when the pictures were read.
        # At the end, each stream of the file gives an empty packet.
        if packet.stream_index in carried and _belongs(packet, span):
            try:
                yield from list(carried[packet.stream_index].packets(packet))
            except av.FFmpegError:
                break
    for one in carried.values():
        yield from one.rest()


def _belongs(packet: Any, span: Span) -> bool:
    """Whether a packet is of that part of the film: at least half of it after its beginning, begun before its end."""
    if packet.pts is None or (span.first_pts is None and span.stop is None):
        return True
    time, length = packet.pts * packet.time_base, (packet.duration or 0) * packet.time_base
    return time + length / 2 >= span.start and (span.stop is None or time < span.stop)


def _moved(packets: Iterator[Any], span: Span) -> Iterator[Any]:
    """Packets as many seconds earlier as that part of the film begins."""
    for packet in packets:
        shift = round(span.start / packet.time_base)
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        yield packet


def _by_time(*sources: Iterator[Any]) -> Iterator[Any]:
    """Packets of several sources, each in order, the earliest first; one of each is held."""
    return heapq.merge(*sources, key=lambda packet: packet.dts * packet.time_base)
