"""Files to pictures.

PNG and TIFF keep 16 bits a channel; AVIF and HEIF of 10 bits, PPM and JPEG 2000 of 16 are read in 8, as by Pillow.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path

from PIL import Image, ImageFile

from ..errors import MissingPackageError, PictureError
from .picture import Picture
from .samples import picture_from_pil
from .sixteen import read_sixteen_bits, sixteen_bit_mode

#: Refused above this many pixels unless told otherwise: a small file can claim any size (a decompression bomb).
DEFAULT_MAX_PIXELS = 500_000_000

#: Pillow's names, tried in this order. Its other formats (EPS, PDF, FITS …) run programs or hold no photographs.
_FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF", "HEIF", "GIF", "PPM", "JPEG2000")
READABLE_SUFFIXES = frozenset(
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".avif"),
        *(".heic", ".heif", ".hif", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k"),
    )
)
#: What decoders raise on damaged files, each format in its own way.
_DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, OverflowError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)
_HEIF_BRANDS = frozenset((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"))


def read_picture(
    path: str | Path, *, max_pixels: int | None = DEFAULT_MAX_PIXELS, allow_truncated: bool = False
) -> Picture:
    """The picture in a file: upright, RGB, in its own depth and colour space.

    The first frame of a file that holds several. max_pixels: None for no limit. allow_truncated: a file cut short
    gives what decodes (the rest grey or black) and a note instead of an error.
    Raises PictureError for a file that is missing, no picture, damaged or too large; MissingPackageError for HEIF
    without its reader.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise PictureError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise PictureError(f"{path} is a folder; expected a picture") from None
    except OSError as error:
        raise PictureError(f"{path} cannot be read: {error.strerror or error}") from error
    return decode_picture(data, path, max_pixels=max_pixels, allow_truncated=allow_truncated)


def decode_picture(data: bytes, path: Path, *, max_pixels: int | None, allow_truncated: bool) -> Picture:
    """As `read_picture`, from the bytes of a file; `path` names it in messages."""
    if not data:
        raise PictureError(f"{path} is empty; expected a picture")
    image = _open(data, path)
    if max_pixels is not None and image.width * image.height > max_pixels:
        raise PictureError(
            f"{path} claims {image.width}×{image.height} pixels ({image.width * image.height / 1e6:.0f} million); "
            f"the limit is {max_pixels / 1e6:g} million; raise max_pixels (--max-pixels) if the file is trusted"
        )
    notes: list[str] = []
    try:
        return _picture(image, data, path, notes)
    except _DAMAGE as error:
        if isinstance(error, PictureError):
            raise
        if not allow_truncated:
            raise PictureError(
                f"{path} is damaged or cut short ({error}); allow_truncated (--allow-truncated) restores what decodes"
            ) from error
    except MemoryError as error:
        raise PictureError(f"{path}: not enough memory for {image.width}×{image.height} pixels") from error
    notes.append("the file is damaged or cut short; what could be decoded was used")
    return _picture(_open(_closed(data), path), _closed(data), path, notes, forgiving=True)


def _closed(data: bytes) -> bytes:
    """A JPEG cut short, with the marker that ends one: its decoder then fills what is missing (also between
    progressive scans)."""
    return data + b"\xff\xd9" if data.startswith(b"\xff\xd8") else data


def _open(data: bytes, path: Path) -> ImageFile.ImageFile:
    """The undecoded image. Pillow's own `open` is avoided: its limit on pixels is a setting of the whole process."""
    Image.init()
    for name in _FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        accepted = accept(data[:16]) if factory is not None and accept is not None else False
        if factory is None or not accepted or isinstance(accepted, str):  # a string says what Pillow was built without
            continue
        try:
            image = factory(io.BytesIO(data), str(path))
        except (SyntaxError, IndexError, TypeError, struct.error):
            continue  # how Pillow's formats say "not mine"
        except _DAMAGE as error:
            raise PictureError(f"{path} is damaged or cut short before its first pixels ({error})") from error
        if isinstance(image, ImageFile.ImageFile):
            return image
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS:
        return _open_heif(data, path)
    raise PictureError(
        f"{path} is not a picture (it starts with {data[:8]!r}); "
        "expected JPEG, PNG, WebP, TIFF, BMP, AVIF, HEIF, GIF, PPM or JPEG 2000"
    )


def _open_heif(data: bytes, path: Path) -> ImageFile.ImageFile:
    try:
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise MissingPackageError(f"{path} is HEIF, which needs pillow-heif; install gpen[heif]") from error
    image: ImageFile.ImageFile = HeifImageFile(io.BytesIO(data), str(path))
    return image


def _load(image: ImageFile.ImageFile) -> None:
    image.load()


def _load_forgivingly(image: ImageFile.ImageFile) -> None:
    """Decodes as far as it goes. (Pillow's own switch for this is a setting of the whole process.)"""
    try:
        image.load()
    except _DAMAGE:
        if getattr(image, "_im", getattr(image, "im", None)) is None:
            raise
        image.tile = []


def _picture(
    image: ImageFile.ImageFile, data: bytes, path: Path, notes: list[str], *, forgiving: bool = False
) -> Picture:
    load = _load_forgivingly if forgiving else _load
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format in ("GIF", "WEBP", "TIFF", "AVIF", "PNG", "MPO"):
        notes.append(f"the file holds {frames} pictures; the first was used")
    raw_mode = sixteen_bit_mode(image)
    if raw_mode is None:
        load(image)
        samples = None
    else:
        samples = read_sixteen_bits(lambda: _open(data, path), raw_mode, load)
        load(image)  # for the metadata that stands behind the pixels
    picture = picture_from_pil(image, samples, notes, turn=True)
    lossless = picture.format == "WEBP" and b"VP8L" in data[12:128]
    return replace(picture, path=path, lossless=lossless)
