"""A file's notes about itself: EXIF orientation, and the line that says a face was restored."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ORIENTATION = 0x0112
#: IFD0's "name and version of the software used to post-process the picture" (Exif's TIFF/EP tag 11): free in camera
#: files, so the camera's own Software tag stays.
PROCESSING_SOFTWARE = 0x000B
PREFIX = b"Exif\x00\x00"

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

_XMP_ORIENTATION = re.compile(rb"""\s*tiff:Orientation=(["'])\d\1|<tiff:Orientation>\d</tiff:Orientation>""")


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


def _orientation_offset(exif: bytes) -> tuple[int, str] | None:
    """Where the orientation's value stands in an EXIF block that starts with a TIFF header, and the byte order."""
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(exif[:4])
    if order is None or len(exif) < 10:
        return None
    (start,) = struct.unpack_from(order + "L", exif, 4)
    if start + 2 > len(exif):
        return None
    (count,) = struct.unpack_from(order + "H", exif, start)
    for entry in range(start + 2, min(start + 2 + 12 * count, len(exif) - 11), 12):
        if struct.unpack_from(order + "H", exif, entry)[0] == ORIENTATION:
            return entry + 8, order
    return None


def without_orientation(exif: bytes | None, xmp: bytes | None) -> tuple[bytes | None, bytes | None]:
    """Both blocks saying that the picture stands upright; every other byte as it was (maker notes survive no
    re-encoding)."""
    if exif is not None:
        exif = exif.removeprefix(PREFIX)
        found = _orientation_offset(exif)
        if found is not None:
            offset, order = found
            exif = exif[:offset] + struct.pack(order + "H", 1) + exif[offset + 2 :]
    return exif, None if xmp is None else _XMP_ORIENTATION.sub(b"", xmp)


def with_provenance(exif: bytes | None, provenance: Provenance) -> bytes:
    """An EXIF block with the tag ProcessingSoftware set; re-encoded, because an entry is added."""
    tags = Image.Exif()
    if exif is not None:
        tags.load(PREFIX + exif)
    tags[PROCESSING_SOFTWARE] = str(provenance)
    return tags.tobytes().removeprefix(PREFIX)
