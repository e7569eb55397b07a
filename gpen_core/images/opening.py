"""The bytes of a file to one of Pillow's undecoded images, and that decoded."""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO

from PIL import Image, ImageFile

from ..errors import MissingPackageError, PictureError
from .damage import DamageError, guarded
from .jpeg_xl import is_jpeg_xl, open_jpeg_xl

#: Pillow's names, tried in this order. Its other formats (EPS, PDF, FITS …) run programs or hold no photographs.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF", "HEIF", "GIF", "PPM", "JPEG2000")
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"))
#: (A phone's MPO holds a photograph and what belongs to it: a preview, a map of light.)
_WITH_PAGES = ("GIF", "WEBP", "TIFF", "AVIF", "PNG")


class ForeignError(PictureError):
    """Bytes that begin like no format that is read."""


def open_image(source: bytes | IO[bytes], path: Path, page: int = 0) -> ImageFile.ImageFile:
    """The undecoded image. Pillow's own `open` is avoided: its limit on pixels is a setting of the whole process.

    source: a file's bytes, or the file open, of which no more is read than is needed.
    Raises ForeignError for what is no picture, PictureError for not so many pages; DamageError.
    """
    Image.init()
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    head = stream.read(16)
    stream.seek(0)
    for name in _FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        accepted = accept(head) if factory is not None and accept is not None else False
        if factory is None or not accepted or isinstance(accepted, str):  # a string says what Pillow was built without
            continue
        with guarded(f"{path} is damaged or cut short before its first pixels"):
            image = factory(stream, str(path))
            if page:
                image.seek(page)
            if not isinstance(image, ImageFile.ImageFile):
                raise DamageError(f"{path} is no picture of one of the formats that are read")
            return image
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        with guarded(f"{path} is damaged or cut short before its first pixels"):
            return _open_heif(stream, path)
    if is_jpeg_xl(head):
        with guarded(f"{path} is damaged or cut short before its first pixels"):
            return open_jpeg_xl(stream, path)
    raise ForeignError(
        f"{path} is not a picture (it starts with {head[:8]!r}); "
        "expected JPEG, PNG, WebP, TIFF, BMP, AVIF, HEIF, GIF, PPM, JPEG 2000 or JPEG XL"
    )


def _open_heif(stream: IO[bytes], path: Path) -> ImageFile.ImageFile:
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise MissingPackageError(f"{path} is HEIF, which needs pillow-heif; install gpen[heif]") from error
    image: ImageFile.ImageFile = HeifImageFile(stream, str(path))
    return image


def pages_of(image: ImageFile.ImageFile) -> int:
    """How many pictures the file holds; 1 where their count is damaged."""
    if image.format not in _WITH_PAGES:
        return 1
    try:
        with guarded("no count of pages"):
            return int(getattr(image, "n_frames", 1))
    except DamageError:
        return 1


def load(image: ImageFile.ImageFile) -> None:
    """Decodes, whatever the size (TIFF's reader has a limit of its own, past which a canvas given to it goes)."""
    if image.format == "TIFF" and getattr(image, "_im", True) is None:
        image.im = Image.new(image.mode, getattr(image, "_tile_size", image.size)).im
    image.load()


def load_forgivingly(image: ImageFile.ImageFile) -> None:
    """Decodes as far as it goes. (Pillow's own switch for this is a setting of the whole process.)"""
    try:
        with guarded("cut short"):
            load(image)
    except DamageError:
        if getattr(image, "_im", getattr(image, "im", None)) is None:
            raise
        image.tile = []
