"""A file's notes about itself: EXIF orientation, and the line that says a face was restored."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .appended import without_previews
from .bare import PNG_COLOUR, PNG_MAGIC, png_chunks
from .damage import DamageError, guarded
from .directory import DirectoryError, read_directory

ORIENTATION = 0x0112
#: Where EXIF's own directory stands, and the photograph's width and height in it.
_EXIF_DIRECTORY, _WIDTH, _HEIGHT = 0x8769, 0xA002, 0xA003
#: Where a preview stands and how long it is: as a JPEG, and as strips of plain samples.
_PREVIEW = ((0x0201, 0x0202), (0x0111, 0x0117))
#: IFD0's "name and version of the software used to post-process the picture" (Exif's TIFF/EP tag 11): free in camera
#: files, so the camera's own Software tag stays.
PROCESSING_SOFTWARE = 0x000B
PREFIX = b"Exif\x00\x00"
PHOTOSHOP = b"Photoshop 3.0\x00"
#: An EXIF block that says nothing.
_EMPTY = b"MM\x00*\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00"
#: Tags of a TIFF that describe the photograph; its others describe the file's layout, which the result has its own of.
_TIFF_DESCRIPTIVE = frozenset((0x000B, 270, 271, 272, 305, 306, 315, 316, 33432, 34665, 34853))
_OLD_FORMS = frozenset(("XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type APP1", "Raw profile type xmp"))
#: No scanner sees finer, in dots an inch.
_FINEST = 1e6

#: EXIF orientation → how the stored rows become the picture as seen.
_UPRIGHT: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}

#: As Pillow looks for it, which finds it in what is no XML any more too.
_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:=["']|>))[0-9]""")


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """By what a picture's faces were restored; written into the result's metadata."""

    model: str
    sha256: str | None = None
    strength: float = 1.0
    version: str = ""

    def __str__(self) -> str:
        digest = f" sha256 {self.sha256}" if self.sha256 else ""
        return f"gpen {self.version}; faces restored with {self.model}{digest}; strength {self.strength:g}"


def upright(stored: NDArray[Any], orientation: int) -> NDArray[Any]:
    """`stored` (H, W, …) turned and mirrored as EXIF's `orientation` 1…8 asks; anything else leaves it alone."""
    turn = _UPRIGHT.get(orientation)
    return stored if turn is None else np.ascontiguousarray(turn(stored))


def without_orientation(exif: bytes | None, xmp: bytes | None) -> tuple[bytes | None, bytes | None]:
    """Both blocks saying that the picture stands upright; every other byte as it was (maker notes survive no
    re-encoding)."""
    if exif is not None:
        exif = read_directory(exif).reset(ORIENTATION, 1)
    return exif, None if xmp is None else _XMP_ORIENTATION.sub(rb"\g<1>1", xmp)


def with_provenance(exif: bytes | None, provenance: Provenance) -> bytes:
    """An EXIF block with the tag ProcessingSoftware set; what else is in it stays byte for byte.

    Raises DirectoryError for a block that is none.
    """
    line = str(provenance).encode("ascii", "replace")
    return read_directory(_EMPTY if exif is None else exif).changed({PROCESSING_SOFTWARE: line})


def of_another_picture(exif: bytes, width: int, height: int) -> bytes:
    """The EXIF block of a photograph, for a picture of this size made of it: without the small preview, which shows the
    photograph as it was and lay, and with this width and height where it tells any.

    Raises DirectoryError for a block that is none.
    """
    directory = read_directory(exif)
    if directory.after:
        exif = replace(directory, data=_without_preview(exif, directory.after), after=0).changed({})
    place = directory.numbers(_EXIF_DIRECTORY) if directory.entries.get(_EXIF_DIRECTORY, (0,))[0] == 4 else ()
    if directory.big or len(place) != 1:
        return exif
    # the head points to EXIF's own directory while that is written to
    head, at = exif[:8], struct.pack(directory.order + "L", place[0])
    for tag, number in ((_WIDTH, width), (_HEIGHT, height)):
        try:
            held = read_directory(exif[:4] + at + exif[8:])
        except DirectoryError:
            break
        kind, count, _ = held.entries.get(tag, (0, 0, b""))
        if count == 1 and (kind == 4 or (kind == 3 and number < 1 << 16)):
            exif = head + held.reset(tag, number)[8:]
    return exif


def _without_preview(exif: bytes, directory: int) -> bytes:
    """The EXIF block without the bytes of the preview that its second directory, at this offset, points to: cut off
    where they end the block, otherwise zeros. Those before the directory stay; no camera writes them there.
    """
    try:
        preview = read_directory(exif, 1)
        ranges = [
            (start, start + size)
            for at, length in _PREVIEW
            for start, size in zip(preview.numbers(at), preview.numbers(length), strict=False)
        ]
    except DirectoryError:
        return exif
    for start, end in ranges:
        if directory < start < end:
            exif = exif[:start] + (bytes(end - start) + exif[end:] if end < len(exif) else b"")
    return exif


def read_exif(image: Image.Image, notes: list[str]) -> tuple[bytes | None, int]:
    """The file's EXIF block, without prefix, and its orientation (1 where none is given); None, and a note, where it
    cannot be read.
    """
    if image.format == "TIFF":
        return _exif_of_tiff(image, notes)
    block = image.info.get("exif") or b""
    if image.format == "JXL" and block:  # its own header turns the picture, and its reader has done so
        return without_orientation(block, None)[0], 1
    try:
        if not block and "Raw profile type exif" in image.info:  # PNG's old form
            with guarded("no EXIF"):
                block = image.getexif().tobytes()
        while block.startswith(PREFIX):
            block = block[len(PREFIX) :]
        directory = read_directory(block) if block else None
        if directory is not None and directory.entries.get(ORIENTATION, (0,))[0] in (1, 3, 4):
            # AVIF and HEIF turn the picture in their own way; their readers have done so and left this at 1
            return block, directory.number(ORIENTATION, 1)
    except (DamageError, DirectoryError) as damage:
        notes.append(f"its EXIF cannot be read and was dropped ({damage})")
        return None, 1
    return block or None, _orientation_of_xmp(image)


def _orientation_of_xmp(image: Image.Image) -> int:
    """What XMP says where EXIF says nothing; 1 where neither can be read."""
    try:
        with guarded("no tags"):
            return int(image.getexif().get(ORIENTATION, 1))
    except DamageError:
        return 1


def _exif_of_tiff(image: Image.Image, notes: list[str]) -> tuple[bytes | None, int]:
    kept, dropped = Image.Exif(), []
    orientation = 1
    try:
        with guarded("no tags"):
            tags = image.getexif()
            orientation = int(tags.get(ORIENTATION, 1))
    except DamageError:
        notes.append("its tags cannot be read and were dropped")
        return None, 1
    for tag in sorted(set(tags) & _TIFF_DESCRIPTIVE):
        one = Image.Exif()
        try:
            with guarded("no such tag"):
                one[tag] = tags.get_ifd(tag) if tag in (34665, 34853) else tags[tag]
                one.tobytes()
        except DamageError:
            dropped.append(str(tag))
        else:
            kept[tag] = one[tag]
    if dropped:
        notes.append(f"its tags {', '.join(dropped)} cannot be read and were dropped")
    return (kept.tobytes().removeprefix(PREFIX) if len(kept) else None), orientation


def read_other_notes(image: Image.Image, source: bytes) -> dict[str, Any]:
    """Fields of a Picture: text, dpi, iptc, comments, png_colour, as far as the image and its file tell them."""
    comment = image.info.get("comment")
    comments = [comment.encode(errors="replace") if isinstance(comment, str) else comment] if comment else []
    segments = getattr(image, "applist", ())
    if segments:
        comments = [content for name, content in segments if name == "COM"]
    png = image.format == "PNG" and source.startswith(PNG_MAGIC)
    return {
        "text": _texts(image),
        "dpi": _dpi(image),
        "iptc": _iptc(image),
        "comments": tuple(one for one in comments if isinstance(one, bytes)),
        "png_colour": _png_colour(source) if png else {},
    }


def _png_colour(source: bytes) -> dict[bytes, bytes]:
    """The colour chunks that stand before the pixels and are whole."""
    found: dict[bytes, bytes] = {}
    for name, content, sound in png_chunks(source):
        if name == b"IDAT":
            break
        if sound and PNG_COLOUR.get(name) == len(content):
            found[name] = content
    return found


def _iptc(image: Image.Image) -> bytes | None:
    """Photoshop's block of resources, one of which is IPTC's."""
    segments = getattr(image, "applist", ())
    if segments:
        parts = [content for name, content in segments if name == "APP13" and content.startswith(PHOTOSHOP)]
        return without_previews(b"".join(part[len(PHOTOSHOP) :] for part in parts)) or None
    tags = getattr(image, "tag_v2", {})
    held = tags.get(34377) if image.format == "TIFF" else None
    held = held[0] if isinstance(held, tuple) and len(held) == 1 else held
    return without_previews(held) or None if isinstance(held, bytes) else None


def _texts(image: Image.Image) -> dict[str, str]:
    """PNG's text chunks, apart from those that hold XMP or an old form of EXIF."""
    if image.format != "PNG":
        return {}
    held = {str(key): str(value) for key, value in image.info.items() if isinstance(value, str)}
    return {key: value for key, value in held.items() if key not in _OLD_FORMS}


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    dpi = image.info.get("dpi")
    try:
        x, y = (float(value) for value in dpi) if isinstance(dpi, tuple) else (0.0, 0.0)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (x, y) if 0 < x < _FINEST and 0 < y < _FINEST else None
