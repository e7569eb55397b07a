"""Pictures harmed with a plan: one entry, chunk, segment or number of a file that is otherwise sound."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, PngImagePlugin

#: Numbers that programs stumble over.
_NUMBERS = (0, 1, 2, 3, 7, 8, 16, 43, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_SIDE = (40, 52)


def _exif() -> bytes:
    """A block as cameras write it: IFD0, an EXIF directory with a maker's note, GPS, a thumbnail's directory."""
    tags = Image.Exif()
    tags[0x010F], tags[0x0110], tags[0x0112] = "A maker", "A camera", 6
    tags[0x011A], tags[0x0131], tags[0x0132] = 72.0, "software", "2026:01:01 00:00:00"
    inner = tags.get_ifd(0x8769)
    inner[0x9003], inner[0x927C], inner[0x829A] = "2026:01:01 00:00:00", bytes(range(60)), 0.01
    tags.get_ifd(0x8825)[2] = (50.0, 30.0, 1.5)
    return tags.tobytes()


@lru_cache(maxsize=1)
def seeds() -> dict[str, list[bytes]]:
    """Sound files by suffix, several of each: depths, modes, compressions, metadata."""
    height, width = _SIDE
    y, x = np.mgrid[:height, :width]
    rgb = np.stack([x * 5, y * 6, (x + y) * 2], axis=2).astype(np.uint8)
    colour, grey, exif = Image.fromarray(rgb), Image.fromarray(rgb[..., 0]), _exif()
    deep = Image.fromarray(rgb[..., 0].astype(np.uint16) * 257)
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>'
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", xmp.decode())
    texts.add_text("Comment", "words", zip=True)
    texts.add(b"gAMA", struct.pack(">L", 100_000))

    def saved(image: Image.Image, kind: str, **settings: object) -> bytes:
        stream = io.BytesIO()
        image.save(stream, kind, **settings)
        return stream.getvalue()

    pages = {"save_all": True, "append_images": [colour.rotate(90)]}
    palette, keyed = colour.quantize(16), colour.convert("RGBA")
    return {
        ".jpg": [
            saved(colour, "JPEG", exif=exif, xmp=xmp, comment=b"words", dpi=(300, 300)),
            saved(colour, "JPEG", progressive=True, subsampling=1),
            saved(grey, "JPEG"),
            saved(colour.convert("CMYK"), "JPEG"),
        ],
        ".png": [
            saved(colour, "PNG", exif=exif, pnginfo=texts, dpi=(72, 72)),
            saved(palette, "PNG", transparency=3),
            saved(keyed, "PNG"),
            saved(deep, "PNG"),
            saved(colour.convert("1"), "PNG"),
            saved(colour, "PNG", **pages),
        ],
        ".webp": [saved(colour, "WEBP", exif=exif, xmp=xmp), saved(keyed, "WEBP", lossless=True)],
        ".tif": [
            *(
                saved(colour, "TIFF", compression=name)
                for name in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits")
            ),
            saved(deep, "TIFF", compression="tiff_lzw"),
            saved(Image.fromarray(rgb[..., 0] / np.float32(255)), "TIFF"),
            saved(colour.convert("1"), "TIFF", compression="group4"),
            saved(colour, "TIFF", compression="jpeg"),
            saved(colour, "TIFF", tiffinfo={270: "words", 305: "software"}, **pages),
        ],
        ".bmp": [saved(colour, "BMP"), saved(palette, "BMP"), saved(grey, "BMP")],
        ".gif": [saved(palette, "GIF", comment=b"words"), saved(palette, "GIF", **pages)],
        ".avif": [saved(colour, "AVIF", speed=10, exif=exif, xmp=xmp), saved(keyed, "AVIF", speed=10)],
        ".jp2": [saved(colour, "JPEG2000")],
        ".ppm": [saved(colour, "PPM"), saved(grey, "PPM")],
    }


def mutated(number: int) -> tuple[str, str, bytes]:
    """(suffix, what was done, the file) of that number: always the same."""
    draw = random.Random(number)
    suffix = draw.choice([*seeds(), ".jpg", ".png", ".tif"])
    data = draw.choice(seeds()[suffix])
    names = []
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        harm = draw.choice([*_ANY, *_STRUCTURED.get(suffix, ()), *_STRUCTURED.get(suffix, ())])
        names.append(harm.__name__.strip("_"))
        data = harm(draw, data)
    return suffix, "+".join(names), data


def _flipped(draw: random.Random, data: bytes) -> bytes:
    harmed = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 8))):
        harmed[draw.randrange(len(harmed))] ^= 1 << draw.randrange(8)
    return bytes(harmed)


def _cut(draw: random.Random, data: bytes) -> bytes:
    return data[: draw.randrange(1, len(data) + 1)]


def _numbered(draw: random.Random, data: bytes) -> bytes:
    form = draw.choice((">L", "<L", ">H", "<H", "B"))
    size = struct.calcsize(form)
    at = draw.randrange(max(1, min(len(data) - size, draw.choice((64, 400, len(data))))))
    number = draw.choice((*_NUMBERS, len(data), draw.randrange(1 << 32))) % (1 << 8 * size)
    return data[:at] + struct.pack(form, number) + data[at + size :]


def _spliced(draw: random.Random, data: bytes) -> bytes:
    """A stretch of the file copied over another, or left out, or put in twice."""
    start, length, target = (draw.randrange(len(data)) for _ in range(3))
    piece = data[start : start + min(length, 200)]
    return draw.choice((data[:target] + piece + data[target + len(piece) :], data[:start] + data[start + len(piece) :],
                        data[:target] + piece + data[target:]))  # fmt: skip


def _png_chunk(draw: random.Random, data: bytes) -> bytes:
    """A chunk with other content, size or name, its check sum right."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">L", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    if not chunks:
        return data
    index = draw.randrange(len(chunks))
    name, content = chunks[index]
    names = (b"tEXt", b"zTXt", b"iTXt", b"iCCP", b"eXIf", b"gAMA", b"cHRM", b"tRNS", b"PLTE", b"acTL", b"fcTL", b"cICP")
    action = draw.randrange(5)
    if action == 0:
        chunks[index] = (draw.choice((*names, b"IDAT", b"IEND", b"IHDR")), content)
    elif action == 1:
        chunks[index] = (name, _numbered(draw, content) if len(content) > 4 else draw.randbytes(3))
    elif action == 2:
        chunks[index] = (name, content[: draw.randrange(len(content) + 1)])
    elif action == 3:
        kind = draw.choice(names)
        content = draw.choice((b"", b"key\0\0", draw.randbytes(9), b"key\0\0" + zlib.compress(draw.randbytes(9))))
        chunks.insert(draw.randrange(1, len(chunks) + 1), (kind, content))
    else:
        chunks.insert(draw.randrange(len(chunks) + 1), chunks.pop(index))
    return data[:8] + b"".join(
        struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))
        for name, content in chunks
    )


def _jpeg_segment(draw: random.Random, data: bytes) -> bytes:
    """A segment before the scan with another marker, length or content; or one more."""
    places, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        places.append(at)
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    if not places:
        return data
    at = draw.choice(places)
    action = draw.randrange(4)
    if action == 0:
        return data[: at + 1] + bytes([draw.randrange(0xC0, 0xFF)]) + data[at + 2 :]
    if action == 1:
        return data[: at + 2] + struct.pack(">H", draw.choice((0, 1, 2, 3, 8, 0xFFFF))) + data[at + 4 :]
    if action == 2:
        known = (b"Exif\0\0", b"ICC_PROFILE\0\1\1", b"Photoshop 3.0\0", b"Adobe\0", b"MPF\0", b"JFIF\0")
        content = draw.choice(known) + draw.randbytes(draw.randrange(30))
        marker = bytes((0xFF, draw.choice((0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE))))
        return data[:at] + marker + struct.pack(">H", len(content) + 2) + content + data[at:]
    inside = at + 4 + draw.randrange(max(1, struct.unpack_from(">H", data, at + 2)[0]))
    return data[:inside] + bytes([draw.randrange(256)]) + data[inside + 1 :]


def _tag(draw: random.Random, data: bytes) -> bytes:
    """An entry of a TIFF directory, of the file itself or of EXIF in it: another tag, type, count or value."""
    heads = [at for mark in (b"II*\0", b"MM\0*") for at in range(len(data) - 8) if data.startswith(mark, at)]
    if not heads:
        return data
    head = draw.choice(heads)
    order = "<" if data[head : head + 1] == b"I" else ">"
    try:
        start = head + struct.unpack_from(order + "L", data, head + 4)[0]
        (count,) = struct.unpack_from(order + "H", data, start)
        entry = start + 2 + 12 * draw.randrange(min(max(count, 1), 64))
        offset, form = draw.choice(((0, "H"), (2, "H"), (4, "L"), (8, "L"), (8, "H")))
        known = {0: (274, 282, 305, 34665, 34853, 258, 259, 277, 273, 339, 317), 2: tuple(range(1, 20))}.get(offset)
        number = draw.choice(known or (*_NUMBERS, len(data), start - head)) % (1 << 8 * struct.calcsize(form))
        harmed = bytearray(data)
        struct.pack_into(order + form, harmed, entry + offset, number)
        return bytes(harmed)
    except struct.error:
        return data


def _riff_chunk(draw: random.Random, data: bytes) -> bytes:
    """A chunk of a WebP with another name, size or flags."""
    places, at = [], 12
    while at + 8 <= len(data):
        places.append(at)
        at += 8 + struct.unpack_from("<L", data, at + 4)[0]
    at = draw.choice(places or [12])
    name = draw.choice((b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF", b"XMP "))
    size = struct.pack("<L", draw.choice((0, 1, 3, 9, 0xFFFFFFFE)))
    return draw.choice((data[:at] + name + data[at + 4 :], data[: at + 4] + size + data[at + 8 :],
                        data[: at + 8] + bytes([draw.randrange(256)]) + data[at + 9 :]))  # fmt: skip


Harm = Callable[[random.Random, bytes], bytes]
_ANY: tuple[Harm, ...] = (_flipped, _cut, _numbered, _spliced)
_STRUCTURED: dict[str, tuple[Harm, ...]] = {
    ".png": (_png_chunk, _png_chunk, _tag),
    ".jpg": (_jpeg_segment, _jpeg_segment, _tag),
    ".tif": (_tag, _tag, _tag),
    ".webp": (_riff_chunk, _tag),
    ".avif": (_tag,),
}
