"""Files without what is not needed for their pixels, for those whose metadata alone is damaged."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PIXELS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"))
#: Chunks that say what the numbers look like, and their sizes.
PNG_COLOUR = {b"cICP": 4, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"mDCV": 24, b"cLLI": 8}
_LOOKS = frozenset((*PNG_COLOUR, b"iCCP", b"sBIT", b"pHYs"))

_SCAN, _APP2 = 0xDA, 0xE2
#: Segments of JFIF and Adobe, which say how colours are coded, and their size.
_CODING = {0xE0: 18, 0xEE: 16}


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """(name, content, whether its check sum is right) of each chunk of a PNG, as far as it goes."""
    at = len(PNG_MAGIC)
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">L", data, at)
        name, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        sound = data[at + 8 + length : at + 12 + length] == struct.pack(">L", zlib.crc32(content, zlib.crc32(name)))
        yield name, content, sound
        at += 12 + length


def png_chunk(name: bytes, content: bytes) -> bytes:
    """A chunk as it stands in a PNG."""
    return struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(content, zlib.crc32(name)))


def bare_forms(data: bytes) -> Iterator[bytes]:
    """The file with less and less beside its pixels: first without descriptions, then without colour profiles too.

    Nothing for formats that have no such parts, or none in this file.
    """
    if data.startswith(PNG_MAGIC):
        forms: tuple[bytes, ...] = (
            _bare_png(data, _PIXELS | _LOOKS),
            _bare_png(data, _PIXELS),
            _bare_png(data, _PIXELS - {b"tRNS"}),
        )
    elif data.startswith(b"\xff\xd8"):
        forms = (_bare_jpeg(data, profile=True), _bare_jpeg(data, profile=False))
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        forms = (_bare_webp(data, (b"EXIF", b"XMP ")), _bare_webp(data, (b"EXIF", b"XMP ", b"ICCP")))
    elif data[4:8] == b"ftyp":
        # EXIF and XMP are items of AVIF; under an unknown name they are passed over, and no offset moves
        forms = (re.sub(rb"(infe.{8})(?:Exif|mime)", rb"\1none", data, flags=re.DOTALL),)
    else:
        return
    before = data
    for form in forms:
        if form != before:
            yield form
            before = form


def _bare_png(data: bytes, kept: frozenset[bytes]) -> bytes:
    """Chunks of these names; of those that are not the pixels' own, only sound ones."""
    parts = [PNG_MAGIC]
    at = len(PNG_MAGIC)
    for name, content, sound in png_chunks(data):
        size = 12 + len(content)
        if name in kept and (sound or name in _PIXELS):
            parts.append(data[at : at + size])
        at += size
    return b"".join(parts)


def _bare_jpeg(data: bytes, *, profile: bool) -> bytes:
    """Without comments and application segments, but those that say how colours are coded."""
    parts, at = [data[:2]], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != _SCAN:
        marker = data[at + 1]
        size = 2 + struct.unpack_from(">H", data, at + 2)[0]
        if marker == 0xFF:  # padding
            at += 1
            continue
        told = (marker in _CODING and size >= _CODING[marker]) or (
            profile and marker == _APP2 and data[at + 4 : at + 16] == b"ICC_PROFILE\0"
        )
        if told or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            parts.append(data[at : at + size])
        at += size
    return b"".join((*parts, data[at:]))


def _bare_webp(data: bytes, dropped: tuple[bytes, ...]) -> bytes:
    flags = {b"EXIF": 0x08, b"XMP ": 0x04, b"ICCP": 0x20}
    parts, at = [], 12
    while at + 8 <= len(data):
        name, (size,) = data[at : at + 4], struct.unpack_from("<L", data, at + 4)
        chunk = data[at : at + 8 + size + size % 2]
        if name == b"VP8X" and len(chunk) > 8:
            chunk = chunk[:8] + bytes([chunk[8] & ~sum(flags[one] for one in dropped)]) + chunk[9:]
        if name not in dropped:
            parts.append(chunk)
        at += 8 + size + size % 2
    body = b"".join(parts)
    return b"RIFF" + struct.pack("<L", 4 + len(body)) + b"WEBP" + body
