"""Pictures to the bytes of a format, with as much of their metadata as it has a place for."""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from PIL import Image, PngImagePlugin

from ..errors import PictureError
from .bare import png_chunk
from .damage import DamageError, guarded
from .deep import heif_of
from .directory import DirectoryError, read_directory
from .metadata import ORIENTATION, PHOTOSHOP, PREFIX, Provenance, of_another_picture, with_provenance
from .opening import load, open_image
from .png16 import write_png16
from .source_type import with_source_type
from .tiff import write_tiff

if TYPE_CHECKING:
    from .picture import Picture

#: Where a lossy format has no setting of the input's own to keep.
DEFAULT_QUALITY = 95
_NO_ALPHA = ("JPEG", "BMP", "PPM")
_WITH_EXIF = ("JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF")
_WITH_PROFILE = ("JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF", "JPEG2000")
#: A marker of a JPEG holds at most this much.
_LARGEST_MARKER = 65533 - 29
_APP13, _COM = 0xED, 0xFE
#: sRGB in PNG's own numbers: gAMA 1/2.2; these say no more than saying nothing.
_PLAIN_GAMMA = (45455, 45450)


def encode(
    picture: Picture, file: IO[bytes], file_format: str, path: Path, quality: int | None, provenance: Provenance | None
) -> tuple[str, ...]:
    """Notes on what the format could not hold. `file` must be open for reading too: what was written is read back.

    Raises DamageError where the encoder refuses, or its result cannot be read; PictureError for a format that this
    installation cannot write; OSError of the disk.
    """
    notes: list[str] = []
    _note_what_is_left_out(picture, file_format, notes)
    if provenance is not None:
        picture = _saying_its_source(picture, file_format)
    exif = _exif(picture, file_format, provenance, notes)
    texts = _texts(picture, provenance)
    said = f"{path} cannot be written as {file_format}"
    deep = picture.pixels.dtype != np.uint8
    with guarded(said, disk=True):
        if file_format == "TIFF":
            notes += write_tiff(picture, file, exif)
        elif deep and file_format == "PNG":
            write_png16(picture, file, exif, texts)
        else:
            if deep and file_format != "HEIF":
                notes.append(f"{file_format} holds 8 bits a channel; the picture was rounded to them")
            if picture.alpha is not None and file_format in _NO_ALPHA:
                notes.append(f"{file_format} holds no transparency; it was dropped")
            _write_by_pillow(picture, file, file_format, path, quality, exif, texts, notes)
    _read_back(picture, file, file_format, path)
    return tuple(notes)


def bare(picture: Picture) -> Picture:
    """The picture without what an encoder might refuse beside its pixels; itself where it has none."""
    beside = (picture.icc_profile, picture.exif, picture.xmp, picture.iptc, picture.comments, picture.text)
    if not any((*beside, picture.png_colour, picture.dpi)):
        return picture
    plain = replace(picture, icc_profile=None, exif=None, xmp=None, iptc=None, comments=(), text={}, dpi=None)
    return replace(plain, png_colour={})


def _exif(picture: Picture, file_format: str, provenance: Provenance | None, notes: list[str]) -> bytes | None:
    if file_format not in _WITH_EXIF:
        return None
    exif = picture.exif
    try:
        exif = None if exif is None else of_another_picture(exif, picture.width, picture.height)
        exif = exif if provenance is None else with_provenance(exif, provenance)
    except DirectoryError as damage:
        notes.append(f"its EXIF cannot be read and was dropped ({damage})")
        exif = None if provenance is None else with_provenance(None, provenance)
    if exif is not None and file_format in ("AVIF", "HEIF"):
        # which Pillow re-encodes to take the orientation out, and fails where any value is damaged
        exif = read_directory(exif).changed({ORIENTATION: None})
    if exif is not None and file_format == "JPEG" and len(exif) > _LARGEST_MARKER:
        notes.append("the EXIF block is too long for JPEG; it was dropped")
        exif = None if provenance is None else with_provenance(None, provenance)
    return exif


def _saying_its_source(picture: Picture, file_format: str) -> Picture:
    xmp = with_source_type(picture.xmp)
    too_long = xmp is not None and file_format == "JPEG" and len(xmp) > _LARGEST_MARKER
    return picture if too_long else replace(picture, xmp=xmp)


def _note_what_is_left_out(picture: Picture, file_format: str, notes: list[str]) -> None:
    lost = []
    if picture.iptc and file_format not in ("JPEG", "TIFF"):
        lost.append("IPTC")
    if picture.comments and file_format not in ("JPEG", "PNG"):
        lost.append("comments")
    if picture.text and file_format != "PNG":
        lost.append("texts")
    if picture.xmp and file_format not in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF", "HEIF"):
        lost.append("XMP")
    if picture.exif and file_format not in _WITH_EXIF:
        lost.append("EXIF")
    if picture.icc_profile and file_format not in _WITH_PROFILE:
        lost.append("colour profile")
    if lost:
        notes.append(f"{file_format} has no place for {', '.join(lost)}; dropped")
    if file_format != "PNG" and picture.icc_profile is None and _is_not_plain(picture.png_colour):
        names = ", ".join(name.decode() for name in picture.png_colour)
        notes.append(f"{file_format} has no place for {names}, so colours may look different")


def _is_not_plain(colour: Mapping[bytes, bytes]) -> bool:
    """Whether PNG's colour chunks ask for another look than sRGB's."""
    if b"cICP" in colour:
        return colour[b"cICP"][:2] != b"\x01\x0d"  # BT.709's primaries, sRGB's curve
    if b"sRGB" in colour or not colour:
        return False
    gamma = struct.unpack(">L", colour[b"gAMA"])[0] if len(colour.get(b"gAMA", b"")) == 4 else _PLAIN_GAMMA[0]
    primaries = colour.get(b"cHRM", _SRGB_PRIMARIES)
    return gamma not in _PLAIN_GAMMA or primaries != _SRGB_PRIMARIES


_SRGB_PRIMARIES = struct.pack(">8L", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)


def _write_by_pillow(
    picture: Picture,
    file: IO[bytes],
    file_format: str,
    path: Path,
    quality: int | None,
    exif: bytes | None,
    texts: Mapping[str, str],
    notes: list[str],
) -> None:
    settings = _settings(picture, file_format, quality, exif, notes)
    if file_format == "HEIF" and picture.pixels.dtype != np.uint8:
        heif_of(replace(picture, grey=False).interleaved(np.uint16)).save(file, **settings)
        if picture.format != "HEIF":
            notes.append("HEIF was written in 10 bits a channel; the picture was rounded to them")
        return
    image = _image(picture, with_alpha=file_format not in _NO_ALPHA)
    Image.init()
    if file_format not in Image.SAVE:
        raise PictureError(f"{path}: this Pillow writes no {file_format}; choose another format (--format png)")
    if file_format != "PNG":
        image.save(file, format=file_format, **settings)
        return
    chunks = PngImagePlugin.PngInfo()
    for key, value in texts.items():
        chunks.add_itxt(key, value)
    if not picture.png_colour:
        image.save(file, format="PNG", pnginfo=chunks, **settings)
        return
    whole = io.BytesIO()
    image.save(whole, format="PNG", pnginfo=chunks, **settings)
    header = 8 + 25  # the magic and IHDR
    colour = b"".join(png_chunk(name, content) for name, content in picture.png_colour.items())
    file.write(whole.getbuffer()[:header])
    file.write(colour)
    file.write(whole.getbuffer()[header:])


def _image(picture: Picture, *, with_alpha: bool) -> Image.Image:
    """An 8-bit image without any metadata: Pillow would write what stands in `info` unasked."""
    whole = (picture if with_alpha else replace(picture, alpha=None)).interleaved(np.uint8)
    return Image.fromarray(np.ascontiguousarray(whole[..., 0] if whole.shape[2] == 1 else whole))


def _settings(
    picture: Picture, file_format: str, quality: int | None, exif: bytes | None, notes: list[str]
) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    if file_format in _WITH_PROFILE and picture.icc_profile is not None:
        settings["icc_profile"] = picture.icc_profile
    if exif is not None:
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
    settings: dict[str, Any] = {"extra": _segments(picture)}
    kept = picture.jpeg
    if kept is None or quality is not None:
        settings["quality"] = DEFAULT_QUALITY if quality is None else quality
        settings["subsampling"] = 0 if kept is None else max(kept.subsampling, 0)
        return settings
    tables = [list(kept.quantization[k]) for k in sorted(kept.quantization)]
    if picture.grey:
        tables = tables[:1]
    settings.update(qtables=tables, progressive=kept.progressive)
    if not picture.grey:
        settings["subsampling"] = max(kept.subsampling, 0)  # an unusual one becomes 4:4:4, which loses nothing
    return settings


def _segments(picture: Picture) -> bytes:
    """Markers of IPTC and comments, the former in as many as it needs."""
    iptc = picture.iptc or b""
    parts = [(_APP13, PHOTOSHOP + iptc[at : at + 65000]) for at in range(0, len(iptc), 65000)]
    parts += [(_COM, comment[:_LARGEST_MARKER]) for comment in picture.comments]
    return b"".join(struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content for marker, content in parts)


def _texts(picture: Picture, provenance: Provenance | None) -> dict[str, str]:
    """PNG's texts: the picture's own, its XMP, its comments, its provenance."""
    texts = {key: _encodable(value) for key, value in picture.text.items()}
    if picture.xmp is not None:
        texts["XML:com.adobe.xmp"] = picture.xmp.decode(errors="replace")
    if picture.comments:
        texts.setdefault("Comment", "\n".join(comment.decode(errors="replace") for comment in picture.comments))
    if provenance is not None:
        texts["Processing"] = _encodable(str(provenance))
    return texts


def _encodable(text: str) -> str:
    """Without what UTF-8 has no bytes for: halves of characters, of names that are not text."""
    return text.encode(errors="replace").decode()


def _read_back(picture: Picture, file: IO[bytes], file_format: str, path: Path) -> None:
    """Raises DamageError where what was written is not a picture of this size.

    Formats whose encoders are others' work are decoded; of PNG and TIFF, which have check sums or are written here, the
    header is enough.
    """
    file.seek(0)
    said = f"{path} was written as {file_format}, but cannot be read back"
    try:
        with guarded(said):
            written = open_image(file.read(), path)
            if file_format not in ("PNG", "TIFF"):
                load(written)
    except PictureError as error:
        raise DamageError(f"{said}; choose another format (--format png)") from error
    if written.size != (picture.width, picture.height):
        raise DamageError(f"{said} in its size, {picture.width}×{picture.height}; choose another format (--format png)")
