"""What a file says of another one than the result will be: what phones put behind a photograph (a map of light, a
film), the rest of an XMP, editors' previews, credentials.

Results hold the photograph alone: an XMP that went on speaking of the rest would have viewers look for it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable

#: An attribute's value, or an element's content up to its end.
_VALUE = rb"""=(?:"[^<>"]*"|'[^<>']*')"""
#: Android's Motion Photo and what came before it, of which the film stands behind the photograph.
_FILM = re.compile(rb"\s\w+:(?:MotionPhoto|MicroVideo)\w*" + _VALUE)
_FILM_ELEMENT = re.compile(rb"<(\w+:(?:MotionPhoto|MicroVideo)\w*)>[^<>]*</\1\s*>")
#: Adobe's gain map, as Ultra HDR has it.
_LIGHT = re.compile(rb"\shdrgm:\w+" + _VALUE)
_LIGHT_ELEMENT = re.compile(rb"<(hdrgm:\w+)>[^<>]*</\1\s*>")
#: Google's list of what stands in the file, one after the other.
_DIRECTORY = re.compile(rb"<(\w+:Directory)\b[^<>]*>")
_SEMANTIC = re.compile(rb""":Semantic(?:=["']|>)(\w+)""")
#: The rest of an XMP too long for one marker, in others that are not read.
_EXTENDED = re.compile(rb"\s\w+:HasExtendedXMP" + _VALUE)
_EXTENDED_ELEMENT = re.compile(rb"<(\w+:HasExtendedXMP)>[^<>]*</\1\s*>")

#: How C2PA's box of boxes (JUMBF's) describes itself, in whatever format it stands (C2PA 2.1, A.3).
_CREDENTIALS = b"jumdc2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71"

#: Photoshop's previews, of version 4 and of later ones.
_PREVIEWS = (b"\x04\x09", b"\x04\x0c")


def without_appended(xmp: bytes | None, notes: list[str]) -> bytes | None:
    """The XMP block without what it says of things behind the photograph, which a note then names; all else stays byte
    for byte.
    """
    if xmp is None:
        return None
    xmp, named = _without_directory(xmp)
    for kind, *patterns in (("MotionPhoto", _FILM, _FILM_ELEMENT), ("GainMap", _LIGHT, _LIGHT_ELEMENT)):
        xmp, found = _without(xmp, patterns)
        named += [kind] if found and kind not in named else []
    if named:
        notes.append(f"what stood behind the photograph in its file was left out ({', '.join(named)})")
    xmp, found = _without(xmp, [_EXTENDED, _EXTENDED_ELEMENT])
    if found:
        notes.append("its XMP goes on in further blocks, which were left out")
    return xmp


def _without(xmp: bytes, patterns: list[re.Pattern[bytes]]) -> tuple[bytes, int]:
    """The block without what the patterns meet, and how often that was."""
    count = 0
    for pattern in patterns:
        xmp, found = pattern.subn(b"", xmp)
        count += found
    return xmp, count


def _without_directory(xmp: bytes) -> tuple[bytes, list[str]]:
    """The block without the list of what the file holds, and what it named beside the photograph itself."""
    begin = _DIRECTORY.search(xmp)
    if begin is None:
        return xmp, []
    close = b"</" + begin[1] + b">"
    end = xmp.find(close, begin.end())
    names = _SEMANTIC.findall(xmp, begin.end(), max(end, begin.end()))
    if end < 0 or not names:
        return xmp, []
    others = [name.decode() for name in dict.fromkeys(names) if name != b"Primary"]
    return xmp[: begin.start()] + xmp[end + len(close) :], others


def without_previews(resources: bytes) -> bytes:
    """Photoshop's resources without the small previews among them, which show the picture as it was; all else, and all
    from where they make no sense, stays byte for byte.
    """
    kept, at = [], 0
    while resources[at : at + 4] == b"8BIM" and at + 12 <= len(resources):
        # a number, a name of even length with its own in front, a size, and as many bytes, made even
        name = (resources[at + 6] // 2 + 1) * 2
        (size,) = struct.unpack_from(">L", resources[at + 6 + name : at + 10 + name].ljust(4, b"\xff"))
        end = at + 10 + name + size + size % 2
        if end > len(resources) + size % 2:
            break
        if resources[at + 4 : at + 6] not in _PREVIEWS:
            kept.append(resources[at:end])
        at = end
    return b"".join((*kept, resources[at:]))


def note_credentials(parts: Iterable[bytes], notes: list[str]) -> None:
    """A note where these parts of a file hold content credentials (C2PA), which vouch for its very bytes."""
    if any(_CREDENTIALS in part for part in parts):
        notes.append("its content credentials (C2PA) were left out: they vouch for the file as it was")
