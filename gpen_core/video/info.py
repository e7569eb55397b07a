"""What is known of a film before its frames are read."""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from ..errors import InputError, PictureError
from .colours import is_rgb, labels_of
from .inventory import Inventory, take_inventory
from .library import load_av
from .orientation import UPRIGHT, Orientation, orientation_of
from .reading import open_film, picture_stream

#: A file whose streams end this much before it says it ends was cut short.
_MISSING_SECONDS, _MISSING_SHARE = 0.5, 0.01
#: Seconds by which the clock of the pictures goes back where another recording begins; less is a slip.
_BACK = 0.5
#: A declared rate so many times above what was counted is a clock's, not the pictures'.
_FAR_ABOVE = 2
#: Pixels are at most so many times as wide as high: anamorphic ones are twice. The rest is a file's mistake.
_WIDEST = 4.0


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of a film, counted in its pictures, and in seconds of the file's own clock, which may begin anywhere.

    first_pts: of its first picture, None where there are no timestamps, or it is the film's own first. stop: None is
    the film's end.
    """

    pictures: range
    first_pts: int | None = None
    start: Fraction = Fraction(0)
    stop: Fraction | None = None


@dataclass(frozen=True, kw_only=True)
class FilmInfo:
    """What is known of a film before it is decoded.

    width, height: upright, pixels. orientation: what makes a decoded frame upright. pixel_aspect: width of an upright
    pixel over its height, None where the file does not say. rate: pictures a second. frames: pictures that the file
    shows; what its edit list cuts away is none of them. span: which of them are wanted, and when. pixel_format:
    FFmpeg's name. ends_early: a sentence where the file is shorter than it says, else None. timestamps: false where the
    pictures have none, and the frame rate is taken for them. colour_labels: FFmpeg's numbers of range, matrix,
    primaries, transfer. inventory: all that is in the file.
    """

    path: Path
    width: int
    height: int
    orientation: Orientation = UPRIGHT
    pixel_aspect: Fraction | None = None
    rate: Fraction
    time_base: Fraction
    frames: int
    span: Span
    pixel_format: str
    codec: str
    timestamps: bool
    ends_early: str | None
    colour_labels: tuple[int, int, int, int]
    inventory: Inventory

    @property
    def rotation(self) -> int:
        """Quarter turns counter-clockwise, after mirroring, that make a decoded frame upright."""
        return self.orientation.turns

    @property
    def aspect(self) -> float:
        """Width of an upright pixel over its height, where a camera could have made such; else 1."""
        aspect = float(self.pixel_aspect or 1)
        return aspect if 1 / _WIDEST <= aspect <= _WIDEST else 1.0


def probe(path: str | Path, *, start: float = 0.0, end: float | None = None) -> FilmInfo:
    """What a film holds; reads all its packets, but decodes only its first picture.

    start, end: seconds from the film's beginning, of the part that is wanted. Raises InputError where that is empty,
    PictureError where there is no such file, it is no film, has no picture stream or no pictures, its codec is not
    known to PyAV, or its clock begins anew; MissingPackageError without PyAV.
    """
    path = Path(path)
    with open_film(path) as container:
        stream = picture_stream(container, path)
        frame = _first(container, stream, path)
        context, orientation = stream.codec_context, orientation_of(frame)
        declared, rate = stream.frames, stream.average_rate or stream.guessed_rate
        labels = (context.color_range, context.colorspace, context.color_primaries, context.color_trc)
        if is_rgb(context.format.name):
            labels = labels_of(context.width, context.height)
        width, height, pixel_format = context.width, context.height, context.format.name
        aspect, time_base = stream.sample_aspect_ratio, stream.time_base
        inventory = take_inventory(container, stream, frame)
    if not width or not height:
        raise PictureError(f"{path}: its pictures have no size; the file is damaged")
    counted = _count(path)
    if not counted.pictures:
        raise PictureError(f"{path} has a picture stream, but no pictures in it")
    if counted.anew is not None:
        raise PictureError(
            f"{path}: its clock goes back after {float(counted.anew):.2f} seconds, as where recordings were joined end "
            "to end; bring it in order first (ffmpeg -i FILM -c copy OTHER.mkv)"
        )
    if orientation.turns % 2:
        width, height, aspect = height, width, 1 / aspect if aspect else None
    if rate is None or (counted.rate is not None and rate > _FAR_ABOVE * counted.rate):
        rate = counted.rate or Fraction(25)
    return FilmInfo(
        path=path,
        width=width,
        height=height,
        orientation=orientation,
        pixel_aspect=Fraction(aspect) if aspect else None,
        rate=Fraction(rate),
        time_base=Fraction(time_base or 1 / rate),
        frames=counted.pictures,
        span=_span(counted, path, Fraction(rate), time_base or 1 / rate, start, end),
        pixel_format=pixel_format,
        codec=context.codec.name,
        timestamps=counted.timestamps,
        ends_early=_avi_ends_early(path, counted) if inventory.container == "avi" else _ends_early(counted, declared),
        colour_labels=labels,
        inventory=inventory,
    )


def _span(counted: _Counted, path: Path, rate: Fraction, time_base: Fraction, start: float, end: float | None) -> Span:
    """The pictures shown from `start` to before `end`, seconds from the film's beginning."""
    origin = max(counted.origin, Fraction(0))
    whole = range(counted.pictures)
    if not start and end is None:
        return Span(pictures=whole, start=origin)
    times = counted.shown if counted.timestamps else [round(k / (rate * time_base)) for k in whole]

    def place(seconds: float) -> int:
        return bisect_left(times, round((Fraction(seconds) + origin) / time_base))

    first, last = place(start), len(times) if end is None else place(end)
    if first >= last:
        length = float(times[-1] * time_base - origin)
        raise InputError(
            f"{path} shows its last picture at {length:.2f} seconds; none is from {start:g} to "
            f"{'the end' if end is None else f'{end:g}'}"
        )
    return Span(
        pictures=whole[first:last],
        first_pts=times[first] if first and counted.timestamps else None,
        start=times[first] * time_base if first else origin,
        stop=times[last] * time_base if last < len(times) else None,
    )


def _first(container: Any, stream: Any, path: Path) -> Any:
    """The first picture."""
    av = load_av()
    try:
        for frame in container.decode(stream):
            return frame
    except av.FFmpegError as error:
        raise PictureError(f"{path}: its first picture cannot be decoded ({error.strerror})") from error
    raise PictureError(f"{path} has a picture stream, but no pictures in it")


@dataclass(frozen=True, kw_only=True)
class _Counted:
    """stored: pictures in the file; pictures: those among them that are shown, not cut away by an edit list. anew: what
    the clock of the pictures shows before it goes back, None where it does not."""

    stored: int
    pictures: int
    shown: Sequence[int]
    rate: Fraction | None
    timestamps: bool
    origin: Fraction
    end: Fraction
    promised_end: Fraction | None
    damage: str | None
    anew: Fraction | None


def _count(path: Path) -> _Counted:
    """A pass over the packets, which costs reading the file and no decoding."""
    av = load_av()
    stored, pictures, stamped, damage = 0, 0, True, None
    first: Fraction | None = None
    last: Fraction | None = None
    anew: Fraction | None = None
    shown = array("q")
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
            stored += packet.stream is stream
            if packet.stream is stream and packet.dts is not None:
                now = packet.dts * packet.time_base
                if anew is None and last is not None and last - now > _BACK:
                    anew = last
                last = now
            if packet.is_discard:
                continue
            time = None if packet.pts is None else packet.pts * packet.time_base
            if packet.stream is stream:
                pictures += 1
                stamped &= time is not None
                if packet.pts is not None:
                    shown.append(packet.pts)
            if time is not None:
                first = time if first is None else min(first, time)
                end = max(end, time + (packet.duration or 0) * packet.time_base)
        promised = None
        if container.duration is not None:
            promised = Fraction(container.duration + max(container.start_time or 0, 0), av.time_base)
    length = max(shown) - min(shown) if shown else 0
    return _Counted(
        stored=stored,
        pictures=pictures,
        shown=sorted(shown),
        rate=(pictures - 1) / (length * stream.time_base) if length else None,
        timestamps=stamped,
        origin=first or Fraction(0),
        end=end,
        promised_end=promised,
        damage=damage,
        anew=anew,
    )


def _ends_early(counted: _Counted, declared: int) -> str | None:
    if counted.damage is not None:
        return f"it is damaged after {counted.pictures} frames ({counted.damage})"
    if declared > counted.stored:
        return f"it ends after {counted.stored} of {declared} frames"
    promised = counted.promised_end
    if promised is not None and promised - counted.end > max(_MISSING_SECONDS, _MISSING_SHARE * promised):
        return f"it ends at {float(counted.end):.2f} of {float(promised):.2f} seconds"
    return None


def _avi_ends_early(path: Path, counted: _Counted) -> str | None:
    """As `_ends_early`. An AVI counts empty pictures, where the one before stays, among its frames: its chunks say."""
    if counted.damage is not None:
        return f"it is damaged after {counted.pictures} frames ({counted.damage})"
    whole, end = path.stat().st_size, 0
    with path.open("rb") as file:
        while end + 8 <= whole:
            file.seek(end)
            name, size = struct.unpack("<4sI", file.read(8))
            if name != b"RIFF":
                break
            end += 8 + size
    return f"it has {whole} of {end} bytes" if end > whole else None
