"""Files to pictures.

PNG, TIFF and JPEG XL keep 16 bits a channel, HEIF and AVIF their 10 or 12; PPM and JPEG 2000 of 16 are read in 8, as by
Pillow. Damage of what stands beside the pixels (EXIF, texts, profiles) costs those parts, never the picture.
"""

from __future__ import annotations

import mmap
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from ..errors import GPENError, MissingPackageError, PictureError, to_keep
from .bare import bare_forms
from .damage import DamageError, guarded
from .deep import deep_samples
from .deep_tiff import find_deep_tiff
from .directory import TIFF_MAGIC, count_directories, read_directory
from .jpeg_xl import is_jpeg_xl, size_of_jpeg_xl
from .memory import refuse_what_does_not_fit
from .opening import ForeignError, load, load_forgivingly, open_image, pages_of
from .picture import Picture
from .raw import RAW_SUFFIXES, develop, open_raw, size_of_raw
from .samples import picture_from_pil
from .sixteen import read_sixteen_bits, sixteen_bit_mode

#: Refused above this many pixels unless told otherwise: a small file can claim any size (a decompression bomb).
DEFAULT_MAX_PIXELS = 500_000_000
#: A file may be this empty: so many pixels a byte, beyond those that cost nothing to speak of.
_PIXELS_A_BYTE, _CHEAP = 10_000, 50_000_000

READABLE_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".avif"),
        *(".heic", ".heif", ".hif", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".jxl"),
        *RAW_SUFFIXES,
    )
)


def read_picture(
    path: str | Path,
    *,
    max_pixels: int | None = DEFAULT_MAX_PIXELS,
    allow_truncated: bool = False,
    page: int | None = None,
) -> Picture:
    """The picture in a file: upright, RGB, in its own depth and colour space.

    page: which one of a file that holds several, from 0; None: the first, with a note where there are others.
    max_pixels: None for no limit. allow_truncated: a file cut short gives what decodes (the rest grey or black) and a
    note instead of an error.
    Raises PictureError for a file that is missing, no picture, damaged or too large; MissingPackageError for HEIF,
    JPEG XL or camera RAW without its reader.
    """
    path = Path(path)
    data = _bytes_of(path)
    try:
        return decode_picture(data, path, max_pixels=max_pixels, allow_truncated=allow_truncated, page=page)
    except DamageError as damage:
        raise PictureError(f"{damage}; allow_truncated (--allow-truncated) restores what decodes") from damage


class Claims(NamedTuple):
    """What a file says of itself before its pixels."""

    width: int
    height: int
    pages: int


def claims_of(path: Path) -> Claims:
    """What a file's header claims; zeros where it claims nothing that can be read."""
    try:
        _refuse_what_is_no_file(path)
        with path.open("rb") as file:
            if file.read(4) in TIFF_MAGIC:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    first = read_directory(data)
                    return Claims(first.number(256, 0), first.number(257, 0), count_directories(data))
            file.seek(0)
            if path.suffix.lower() in RAW_SUFFIXES:
                with open_raw(path.read_bytes(), path) as raw:
                    return Claims(*size_of_raw(raw), 1)
            if is_jpeg_xl(file.read(12)):
                file.seek(0)
                return Claims(*size_of_jpeg_xl(file.read(1 << 20), path), 1)
            file.seek(0)
            image = open_image(file, path)
            return Claims(image.width, image.height, pages_of(image))
    except (PictureError, MissingPackageError, OSError, ValueError):
        return Claims(0, 0, 0)


def _refuse_what_is_no_file(path: Path) -> None:
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for, a device read for ever
        what = "a folder" if path.is_dir() else "a pipe or device"
        raise PictureError(f"{path} is {what}; expected a picture")
    refuse_what_does_not_fit(status.st_size, path)


def _bytes_of(path: Path) -> bytes:
    try:
        _refuse_what_is_no_file(path)
        return path.read_bytes()
    except FileNotFoundError:
        raise PictureError(f"{path}: no such file") from None
    except GPENError:
        raise
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise PictureError(f"{path} cannot be read: {reason}") from error


def decode_picture(
    data: bytes, path: Path, *, max_pixels: int | None, allow_truncated: bool, page: int | None = None
) -> Picture:
    """As `read_picture`, from the bytes of a file; `path` names it in messages."""
    if not data:
        raise PictureError(f"{path} is empty; expected a picture")
    try:
        return _picture(data, path, page, max_pixels)
    except DamageError as damage:
        first = to_keep(damage)
    for form in bare_forms(data):
        try:
            picture = _picture(form, path, page, max_pixels)
        except (DamageError, ForeignError):  # nothing is left of one that is cut short within its metadata
            continue
        return replace(picture, notes=(*picture.notes, f"its metadata is damaged and was dropped ({first})"))
    if not allow_truncated:
        raise first
    for form in (data, *bare_forms(data)):
        try:
            picture = _picture(_closed(form), path, page, max_pixels, forgiving=True)
        except (DamageError, ForeignError):
            continue
        if not picture.pixels.any():  # a canvas on which nothing was drawn
            continue
        said = "the file is damaged or cut short; what could be decoded was used"
        return replace(picture, notes=(*picture.notes, said))
    raise PictureError(f"{first}; nothing of it can be decoded") from first


def _closed(data: bytes) -> bytes:
    """A JPEG cut short, with the marker that ends one: its decoder then fills what is missing (also between
    progressive scans)."""
    return data + b"\xff\xd9" if data.startswith(b"\xff\xd8") else data


def _refuse_size(width: int, height: int, size: int, path: Path, max_pixels: int | None) -> None:
    pixels = width * height
    if max_pixels is None:
        return
    claim = f"{path} claims {width}×{height} pixels ({_millions(pixels, max_pixels)} million)"
    if pixels > max_pixels:
        raise PictureError(
            f"{claim}; the limit is {max_pixels / 1e6:g} million; "
            "raise max_pixels (--max-pixels) if the file is trusted"
        )
    if pixels > max(_CHEAP, size * _PIXELS_A_BYTE):
        raise PictureError(f"{claim} in {size} bytes, more than such a file can hold; it is damaged or a trap")
    refuse_what_does_not_fit(pixels * 8, path)


def _millions(pixels: int, limit: int) -> str:
    """Millions of pixels, with no more decimals than tell them from the limit's."""
    exact, bound = pixels / 1e6, limit / 1e6
    decimals = next((n for n in range(6) if f"{exact:.{n}f}" != f"{bound:.{n}f}"), 6)
    return f"{exact:.{0 if pixels == limit else decimals}f}"


def _picture(data: bytes, path: Path, page: int | None, max_pixels: int | None, *, forgiving: bool = False) -> Picture:
    if path.suffix.lower() in RAW_SUFFIXES:
        with open_raw(data, path) as raw:
            _refuse_size(*size_of_raw(raw), len(data), path, max_pixels)
            return replace(develop(raw, path), path=path)
    notes: list[str] = []
    decode = load_forgivingly if forgiving else load
    if is_jpeg_xl(data):
        _refuse_size(*size_of_jpeg_xl(data, path), len(data), path, max_pixels)
    deep = find_deep_tiff(data, path, page or 0)
    image = open_image(data, path, page or 0) if deep is None else open_image(deep.plain(), path)
    _refuse_size(image.width, image.height, len(data), path, max_pixels)
    pages = pages_of(image)
    if page is None and (pages > 1 or image.format == "MPO"):
        notes.append(f"the file holds {max(pages, 2)} pictures; the first was used")
    samples: NDArray[Any] | None = None
    with guarded(f"{path} is damaged or cut short"):
        raw_mode = sixteen_bit_mode(image) if deep is None else None
        if deep is not None:
            samples = deep.samples(decode)
        elif raw_mode is None:
            decode(image)
            samples = None if page else deep_samples(image, data, path, notes)
        else:
            samples = read_sixteen_bits(lambda: open_image(data, path, page or 0), raw_mode, decode)
            decode(image)  # for the metadata that stands behind the pixels
        picture = picture_from_pil(image, samples, notes, turn=True, source=data)
    lossless = picture.format == "WEBP" and b"VP8L" in data[12:128]
    return replace(picture, path=path, lossless=lossless, pages=pages)
