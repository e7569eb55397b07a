"""What is in a film's file, so that what its result lacks can be said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from .library import load_av
from .orientation import UPRIGHT, Orientation, orientation_of

#: Tags that a file has about itself or its making, not about the film; lower case.
_OF_THE_FILE = frozenset(
    (
        *("encoder", "software", "major_brand", "minor_version", "compatible_brands", "duration", "handler_name"),
        *("vendor_id", "encoded_by", "writing_application", "language", "filename", "mimetype"),
    )
)
#: FFmpeg's numbers of the order of fields: unknown and progressive, then those whose top or bottom field is first.
_WHOLE, _TOP_FIRST, _BOTTOM_FIRST = (0, 1), (2, 4), (3, 5)
#: Data of single frames → its name in a note.
_FRAME_DATA = {
    "A53_CC": "closed captions",
    "MASTERING_DISPLAY_METADATA": "colours of the mastering display (HDR)",
    "CONTENT_LIGHT_LEVEL": "light levels of its content (HDR)",
    "DYNAMIC_HDR_PLUS": "HDR10+ metadata",
    "DOVI_METADATA": "Dolby Vision metadata",
    "SPHERICAL": "the projection of its 360°",
    "STEREO3D": "the order of its two views (3D)",
    "FILM_GRAIN_PARAMS": "grain to be synthesised",
}


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One stream: kind audio, subtitle, video, cover, attachment or data; codec by FFmpeg's name; language or None."""

    kind: str
    codec: str
    language: str | None = None
    title: str | None = None


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What is in a film's file beside its pictures, and what is said about these.

    fields: "top" or "bottom", whichever is shown first, where a frame is two interlaced fields; "" where it is whole.
    chapters: their titles. tags: lower case. frame_data: what its first frame brings, by FFmpeg's names.
    """

    container: str
    streams: tuple[Stream, ...] = ()
    chapters: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    pixel_aspect: Fraction | None = None
    orientation: Orientation = UPRIGHT
    fields: str = ""
    alpha: bool = False
    frame_data: tuple[str, ...] = ()


def take_inventory(container: Any, pictures: Any, frame: Any) -> Inventory:
    """What is in PyAV's `container`. pictures: the stream that is the film; frame: its first one, decoded."""
    others = (_stream(stream) for stream in container.streams if stream.index != pictures.index)
    return Inventory(
        container=container.format.name,
        streams=tuple(others),
        chapters=tuple(chapter["metadata"].get("title", "") for chapter in container.chapters()),
        tags=tags_of(container.metadata),
        pixel_aspect=pictures.sample_aspect_ratio or None,
        orientation=orientation_of(frame),
        fields=_fields(pictures, frame),
        alpha=pictures.metadata.get("alpha_mode") == "1" or any(part.is_alpha for part in frame.format.components),
        frame_data=tuple(data.type.name for data in frame.side_data if data.type.name in _FRAME_DATA),
    )


def tags_of(metadata: Mapping[str, str]) -> dict[str, str]:
    """Those tags that are about the film, lower case."""
    lower = {key.lower(): value for key, value in metadata.items()}
    return {k: v for k, v in lower.items() if k not in _OF_THE_FILE and not k.startswith("_statistics")}


def _stream(stream: Any) -> Stream:
    av = load_av()
    cover = stream.type == "video" and stream.disposition & av.stream.Disposition.attached_pic
    context = stream.codec_context
    return Stream(
        kind="cover" if cover else stream.type or "data",
        codec=context.codec.canonical_name if context is not None else getattr(stream, "name", None) or "unknown",
        language=stream.language if stream.language not in ("und", "") else None,
        title=stream.metadata.get("title"),
    )


def _fields(pictures: Any, frame: Any) -> str:
    # PyAV before 18 does not say in which order they are: bottom first in DV, top first nearly everywhere else.
    order = getattr(pictures.codec_context, "field_order", 0)
    if order in _TOP_FIRST or order in _BOTTOM_FIRST:
        return "top" if order in _TOP_FIRST else "bottom"
    if not frame.interlaced_frame:
        return ""
    return "bottom" if pictures.codec_context.name == "dvvideo" else "top"


def lost(before: Inventory, after: Inventory, container: str) -> Iterator[str]:
    """A note on each thing that is in a film and not in its result, a file of the kind `container`."""
    ours = Counter(stream.kind for stream in after.streams)
    for kind, number in sorted(Counter(stream.kind for stream in before.streams).items()):
        if (fewer := number - ours[kind]) > 0:
            codecs = ", ".join(sorted({stream.codec for stream in before.streams if stream.kind == kind}))
            some = f"its {kind}" if number == 1 else f"{fewer} of its {number} {kind} streams"
            yield f"{some} ({codecs}) left out: {container} does not hold it"
    for what in ("language", "title"):
        theirs = Counter(getattr(stream, what) for stream in before.streams if getattr(stream, what))
        if missing := theirs - Counter(getattr(stream, what) for stream in after.streams):
            yield f"{container} does not keep the {what} of a stream: {', '.join(sorted(missing))}"
    if len(after.chapters) < len(before.chapters):
        yield f"{len(before.chapters) - len(after.chapters)} of its {len(before.chapters)} chapters are left out"
    elif before.chapters != after.chapters:
        yield "titles of its chapters are not kept"
    if tags := sorted(set(before.tags) - set(after.tags)):
        yield f"{container} does not keep the tags {', '.join(tags)}"
    if (before.pixel_aspect or 1) != _turned(before, after) and before.pixel_aspect:
        yield f"its pixels are {before.pixel_aspect} as wide as high; the result says {after.pixel_aspect or 1}"
    if before.orientation.askew:
        yield "its display matrix turns by no quarter or slants; the result is as near to it as quarter turns come"
    if before.fields and before.fields != after.fields:
        yield f"its frames are two interlaced fields each, {before.fields} first; the result does not say so"
    if before.alpha and not after.alpha:
        yield "its transparency is left out"
    if data := sorted(set(before.frame_data) - set(after.frame_data)):
        yield f"left out: {', '.join(_FRAME_DATA[name] for name in data)}"


def _turned(before: Inventory, after: Inventory) -> Fraction:
    """The result's pixel aspect as it was before the film was turned upright."""
    aspect = Fraction(after.pixel_aspect or 1)
    return 1 / aspect if before.orientation.turns % 2 else aspect
