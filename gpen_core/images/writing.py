"""Pictures to files."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image, PngImagePlugin

from .. import files
from ..errors import InputError, MissingPackageError, PictureError
from .metadata import PREFIX, Provenance, with_provenance
from .picture import Picture
from .png16 import write_png16
from .tiff import write_tiff

#: Suffix → format, by Pillow's names.
FORMATS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **dict.fromkeys((".bmp", ".dib"), "BMP"),
    **dict.fromkeys((".heic", ".heif", ".hif"), "HEIF"),
    **dict.fromkeys((".ppm", ".pgm", ".pnm"), "PPM"),
    **{".png": "PNG", ".webp": "WEBP", ".avif": "AVIF", ".jp2": "JPEG2000"},
}
#: Where a lossy format has no setting of the input's own to keep.
DEFAULT_QUALITY = 95
_NO_ALPHA = ("JPEG", "BMP", "PPM")
#: A marker of a JPEG holds at most this much.
_LARGEST_MARKER = 65533 - 29


def write_picture(
    picture: Picture,
    path: str | Path,
    *,
    quality: int | None = None,
    provenance: Provenance | None = None,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Notes on what the format could not hold (depth, alpha, metadata), usually none.

    The format follows the suffix. quality: 1…100 for JPEG, WebP and AVIF; None: a JPEG gets its input's own
    quantisation tables and subsampling, a lossless WebP stays so, everything else 95. provenance: noted in EXIF and
    in PNG's text. Written to a temporary name beside `path` and renamed. overwrite: allow `path` to be the file the
    picture was read from. Raises PictureError for an unknown suffix, a format that cannot hold the picture, no space
    left; InputError for a quality out of range.
    """
    path = Path(path)
    file_format = FORMATS.get(path.suffix.lower())
    if file_format is None:
        raise PictureError(
            f"{path}: no format has the suffix {path.suffix!r}; expected one of {', '.join(sorted(FORMATS))}"
        )
    if quality is not None and not 1 <= quality <= 100:
        raise InputError(f"quality is {quality}; expected 1 to 100")
    if not overwrite:
        refuse_same_file(picture.path, path)
    notes: list[str] = []
    with replacing(path) as file:
        _encode(picture, file, file_format, path, quality, provenance, notes)
    return tuple(notes)


def copy_picture(source: Path, path: Path, *, overwrite: bool = False) -> None:
    """Copies a file byte for byte, by way of a temporary name. Raises as `write_picture`."""
    if source.exists() and path.exists() and source.samefile(path):
        if not overwrite:
            refuse_same_file(source, path)
        return
    try:
        with source.open("rb") as original, replacing(path) as file:
            shutil.copyfileobj(original, file, 1 << 20)
    except FileNotFoundError:
        raise PictureError(f"{source}: no such file") from None


def refuse_same_file(source: Path | None, path: Path) -> None:
    """Raises PictureError when `path` is the file `source`."""
    if source is not None and path.exists() and source.exists() and source.samefile(path):
        raise PictureError(f"{path} is the input itself; choose another folder or name, or say overwrite (--overwrite)")


@contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file open for writing that becomes `path` when all has been written, and vanishes when not.

    Raises PictureError when there is no space or no permission.
    """
    try:
        with files.replacing(path) as temporary, temporary.open("wb") as file:
            yield file
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise PictureError(f"no space left to write {path}; free some or choose another place") from error
        if error.errno is None:
            raise
        raise PictureError(f"{path} cannot be written: {error.strerror}") from error


def _encode(
    picture: Picture,
    file: IO[bytes],
    file_format: str,
    path: Path,
    quality: int | None,
    provenance: Provenance | None,
    notes: list[str],
) -> None:
    exif = picture.exif if provenance is None else with_provenance(picture.exif, provenance)
    deep = picture.pixels.dtype != np.uint8
    if deep and file_format == "PNG":
        write_png16(picture, file, exif, _texts(picture, provenance))
        return
    if file_format == "TIFF":
        write_tiff(picture, file, exif)
        return
    if deep:
        notes.append(f"{file_format} holds 8 bits a channel; the picture was rounded to them")
    if picture.alpha is not None and file_format in _NO_ALPHA:
        notes.append(f"{file_format} holds no transparency; it was dropped")
    image = _image(picture, with_alpha=file_format not in _NO_ALPHA)
    settings = _settings(picture, file_format, quality, exif, notes)
    if file_format == "PNG":
        chunks = PngImagePlugin.PngInfo()
        for key, value in _texts(picture, provenance).items():
            chunks.add_itxt(key, value)
        settings["pnginfo"] = chunks
    if file_format == "HEIF":
        _register_heif(path)
    Image.init()
    if file_format not in Image.SAVE:
        raise PictureError(f"{path}: this Pillow writes no {file_format}; choose another format (--format png)")
    try:
        image.save(file, format=file_format, **settings)
    except (ValueError, TypeError, SystemError) as error:
        raise PictureError(f"{path} cannot be written as {file_format}: {error}") from error
    except OSError as error:
        if error.errno is None:  # an encoder's refusal (a picture too large for the format), not the disk's
            raise PictureError(f"{path} cannot be written as {file_format}: {error}") from error
        raise


def _image(picture: Picture, *, with_alpha: bool) -> Image.Image:
    """An 8-bit image without any metadata: Pillow would write what stands in `info` unasked."""
    whole = (picture if with_alpha else replace(picture, alpha=None)).interleaved(np.uint8)
    return Image.fromarray(np.ascontiguousarray(whole[..., 0] if whole.shape[2] == 1 else whole))


def _settings(
    picture: Picture, file_format: str, quality: int | None, exif: bytes | None, notes: list[str]
) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if file_format != "BMP" and picture.icc_profile is not None:
        settings["icc_profile"] = picture.icc_profile
    if exif is not None and file_format in ("JPEG", "PNG", "WEBP", "AVIF", "HEIF"):
        if file_format == "JPEG" and len(exif) > _LARGEST_MARKER:
            notes.append("the EXIF block is too long for JPEG; it was dropped")
        else:
            settings["exif"] = PREFIX + exif
    if picture.xmp is not None and file_format in ("JPEG", "WEBP", "AVIF", "HEIF"):
        if file_format == "JPEG" and len(picture.xmp) > _LARGEST_MARKER:
            notes.append("the XMP block is too long for JPEG; it was dropped")
        else:
            settings["xmp"] = picture.xmp
    if picture.dpi is not None and file_format in ("JPEG", "PNG", "BMP"):
        settings["dpi"] = picture.dpi
    if file_format == "JPEG":
        settings.update(_jpeg(picture, quality))
    elif file_format == "WEBP" and picture.lossless and quality is None:
        settings.update(lossless=True, exact=True)
    elif file_format in ("WEBP", "AVIF", "HEIF"):
        settings["quality"] = DEFAULT_QUALITY if quality is None else quality
    return settings


def _jpeg(picture: Picture, quality: int | None) -> dict[str, Any]:
    kept = picture.jpeg
    if kept is None or quality is not None:
        return {
            "quality": DEFAULT_QUALITY if quality is None else quality,
            "subsampling": 0 if kept is None else max(kept.subsampling, 0),
        }
    settings: dict[str, Any] = {
        "qtables": [list(kept.quantization[k]) for k in sorted(kept.quantization)],
        "progressive": kept.progressive,
    }
    if not picture.grey:
        settings["subsampling"] = max(kept.subsampling, 0)  # an unusual one becomes 4:4:4, which loses nothing
    return settings


def _texts(picture: Picture, provenance: Provenance | None) -> dict[str, str]:
    texts = dict(picture.text)
    if provenance is not None:
        texts["Processing"] = str(provenance)
    return texts


def _register_heif(path: Path) -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise MissingPackageError(
            f"{path}: writing HEIF needs pillow-heif; install gpen[heif], or choose --format png"
        ) from error
    if "HEIF" not in Image.SAVE:
        pillow_heif.register_heif_opener()
