"""Files as cameras, editors, bad disks and attackers leave them: one of each kind, made by code."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image
from small_pictures import smooth

from gpen_core.images.bare import png_chunk

#: A TIFF header of EXIF, and what stands wrong in its one entry.
ORIENTATION, RESOLUTION, SOFTWARE, EXIF_IFD = 0x0112, 0x011A, 0x0131, 0x8769


def encoded(kind: str, **settings: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(smooth(48, 64)).save(stream, kind, **settings)
    return stream.getvalue()


def exif(tag: int, kind: int, count: int, field: bytes, *, magic: bytes = b"MM\0*\0\0\0\x08") -> bytes:
    """An EXIF block of one entry."""
    return b"Exif\0\0" + magic + struct.pack(">HHHL", 1, tag, kind, count) + field + b"\0\0\0\0"


BROKEN_EXIF = {
    "no magic": exif(ORIENTATION, 3, 1, b"\0\1\0\0", magic=b"GARBAGE!"),
    "another magic": exif(ORIENTATION, 3, 1, b"\0\1\0\0", magic=b"MM\0\5\0\0\0\x08"),
    "its own repr": b"Exif\0\0b'Exif\\x00\\x00MM\\x00*'",
    "prefixed twice": b"Exif\0\0" + exif(ORIENTATION, 3, 1, b"\0\1\0\0"),
    "three bytes": b"Exif\0\0MM\0",
    "an offset outside": exif(ORIENTATION, 3, 1, b"\0\1\0\0", magic=b"MM\0*\xff\xff\xff\xf0"),
    "a resolution that is text": exif(RESOLUTION, 2, 4, b"abc\0"),
    "software that is a float": exif(SOFTWARE, 11, 1, struct.pack(">f", 1.5)),
    "a value outside": exif(SOFTWARE, 2, 1000, b"\xff\xff\xff\0"),
    "a directory of itself": exif(EXIF_IFD, 4, 1, b"\0\0\0\x08"),
    "an orientation that is text": exif(ORIENTATION, 2, 4, b"one\0"),
    "orientation 60000": exif(ORIENTATION, 3, 1, b"\xea\x60\0\0"),
    "no entries": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0",
}


def png_with(*chunks: tuple[bytes, bytes], broken: bool = False) -> bytes:
    """A PNG with chunks after its header; broken: their check sums are wrong."""
    whole = encoded("PNG")
    added = b"".join(png_chunk(name, content) for name, content in chunks)
    added = added[:-1] + bytes([added[-1] ^ 1]) if broken else added
    return whole[:33] + added + whole[33:]


#: PNGs whose pixels are sound, and whose metadata is not.
BROKEN_CHUNKS = {
    "a short gAMA": png_with((b"gAMA", b"\0")),
    "a short cHRM": png_with((b"cHRM", b"\0" * 7)),
    "a short pHYs": png_with((b"pHYs", b"\0\0")),
    "an empty iCCP": png_with((b"iCCP", b"")),
    "an iCCP that inflates to nothing": png_with((b"iCCP", b"x\0\0garbage")),
    "an iTXt without language": png_with((b"iTXt", b"key\0\1\0")),
    "a zTXt that does not inflate": png_with((b"zTXt", b"key\0\0garbage")),
    "a text with a wrong check sum": png_with((b"tEXt", b"key\0value"), broken=True),
    "a text that inflates without end": png_with((b"zTXt", b"key\0\0" + zlib.compress(b"a" * 70_000_000, 9))),
    "a short sRGB": png_with((b"sRGB", b"")),
    "a short acTL": png_with((b"acTL", b"\0")),
    "an fdAT before any": png_with((b"fdAT", b"\0\0")),
}


def jpeg_with(segment: bytes) -> bytes:
    """A JPEG with a segment before all others."""
    whole = encoded("JPEG")
    return whole[:2] + segment + whole[2:]


BROKEN_SEGMENTS = {
    "Photoshop cut short": jpeg_with(b"\xff\xed\0\x14Photoshop 3.0\x008BI"),
    "an MPF of nonsense": jpeg_with(b"\xff\xe2\0\x0cMPF\0\xff\xff\xff\xff\xff\xff"),
    "an ICC part of none": jpeg_with(b"\xff\xe2\0\x10ICC_PROFILE\0"),
    "an Adobe cut short": jpeg_with(b"\xff\xee\0\x08Adobe\0"),
    "a JFIF cut short": jpeg_with(b"\xff\xe0\0\x07JFIF\0"),
    "a comment of nothing": jpeg_with(b"\xff\xfe\0\2"),
}


def _flipped(seed: int, kind: str, **settings: object) -> bytes:
    data = bytearray(encoded(kind, **settings))
    draw = np.random.default_rng(seed)
    for at in draw.integers(0, len(data), 1 + seed % 5):
        data[at] ^= 1 << int(draw.integers(8))
    return bytes(data)


def _cut(seed: int, kind: str, **settings: object) -> bytes:
    data = encoded(kind, **settings)
    return data[: int(np.random.default_rng(seed).integers(1, len(data)))]


def _numbered(seed: int, kind: str, **settings: object) -> bytes:
    """Four bytes replaced by a number that programs stumble over."""
    data = bytearray(encoded(kind, **settings))
    draw = np.random.default_rng(seed)
    at = int(draw.integers(0, min(len(data) - 4, 200)))
    number = [0, 1, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFF, len(data)][int(draw.integers(7))]
    data[at : at + 4] = struct.pack(draw.choice([">L", "<L"]), number)
    return bytes(data)


FORMATS = {
    ".jpg": ("JPEG", {"exif": exif(ORIENTATION, 3, 1, b"\0\6\0\0"), "comment": b"a comment"}),
    ".png": ("PNG", {"exif": exif(ORIENTATION, 3, 1, b"\0\6\0\0")}),
    ".webp": ("WEBP", {"exif": exif(ORIENTATION, 3, 1, b"\0\6\0\0")}),
    ".tif": ("TIFF", {"compression": "tiff_lzw"}),
    ".bmp": ("BMP", {}),
    ".gif": ("GIF", {}),
    ".avif": ("AVIF", {"speed": 10, "exif": exif(ORIENTATION, 3, 1, b"\0\6\0\0")}),
    ".jp2": ("JPEG2000", {}),
    ".ppm": ("PPM", {}),
}
HARMS: dict[str, Callable[..., bytes]] = {"flipped": _flipped, "cut": _cut, "numbered": _numbered}
