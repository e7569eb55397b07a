"""JPEG XL: what a file claims before it is decoded, and its picture by the extra `jxl`."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from PIL import Image, ImageFile

from ..errors import MissingPackageError
from .damage import DamageError

_CODESTREAM = b"\xff\x0a"
_CONTAINER = b"\x00\x00\x00\x0cJXL \r\n\x87\n"
#: Width over height, by the header's three bits; 0: the width is given itself.
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_WIDTHS = (9, 13, 18, 30)


def is_jpeg_xl(head: bytes) -> bool:
    """Whether a file that begins so is JPEG XL."""
    return head.startswith((_CODESTREAM, _CONTAINER))


def size_of_jpeg_xl(data: bytes, path: Path) -> tuple[int, int]:
    """Width and height by the header. Decoders take memory for whatever it claims, so it is asked first.

    Raises DamageError where there is no header.
    """
    bits = _Bits(_codestream(data, path)[2:14], path)
    small = bits.take(1)
    height = 8 * (bits.take(5) + 1) if small else bits.take(_WIDTHS[bits.take(2)]) + 1
    ratio = bits.take(3)
    if ratio:
        across, down = _RATIOS[ratio]
        return height * across // down, height
    return (8 * (bits.take(5) + 1) if small else bits.take(_WIDTHS[bits.take(2)]) + 1), height


def open_jpeg_xl(stream: IO[bytes], path: Path) -> ImageFile.ImageFile:
    """Pillow's image, decoded already, in 8 bits. Raises MissingPackageError without the extra."""
    try:
        import pillow_jxl  # noqa: F401
    except ImportError as error:
        raise MissingPackageError(f"{path} is JPEG XL, which needs pillow-jxl-plugin; install gpen[jxl]") from error
    image: ImageFile.ImageFile = Image.OPEN["JXL"][0](stream, str(path))
    return image


def samples_of_jpeg_xl(data: bytes, path: Path) -> Any:
    """(H, W[, C]) as stored: 8 or 16 bits, or floats. Raises MissingPackageError without the extra."""
    try:
        from imagecodecs import jpegxl_decode
    except ImportError as error:
        raise MissingPackageError(f"{path} is JPEG XL, which needs imagecodecs; install gpen[jxl]") from error
    return jpegxl_decode(data)


def _codestream(data: bytes, path: Path) -> bytes:
    """The beginning of what holds the picture."""
    if data.startswith(_CODESTREAM):
        return data[:64]
    for kind, content in _boxes(data):
        if kind in (b"jxlc", b"jxlp"):  # parts are numbered
            return content[4:] if kind == b"jxlp" else content
    raise DamageError(f"{path} is damaged or cut short before its first pixels")


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and first bytes of each box."""
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">L4s", data, at)
        head = 8
        if length == 1 and at + 16 <= len(data):
            (length,), head = struct.unpack_from(">Q", data, at + 8), 16
        yield kind, data[at + head : at + head + 64]
        if length < head:  # 0: to the end
            return
        at += length


class _Bits:
    """Bits of a header, the lowest first."""

    def __init__(self, data: bytes, path: Path) -> None:
        self._left, self._bits, self._path = len(data) * 8, int.from_bytes(data, "little"), path

    def take(self, count: int) -> int:
        if count > self._left:
            raise DamageError(f"{self._path} is damaged or cut short before its first pixels")
        value = self._bits & ((1 << count) - 1)
        self._bits >>= count
        self._left -= count
        return value
