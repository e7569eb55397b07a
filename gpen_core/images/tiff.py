"""TIFF of 8 or 16 bits a channel (TIFF 6.0): Pillow writes no RGB of 16 bits, and no EXIF beside a compression."""

from __future__ import annotations

import zlib
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from ..errors import PictureError
from .damage import DamageError, guarded
from .metadata import PREFIX

if TYPE_CHECKING:
    from .picture import Picture

_ROWS = 64
_UNCOMPRESSED, _DEFLATE = 1, 8
#: Offsets have 32 bits; this much is left for the tags.
_LARGEST = 2**32 - 2**24


def write_tiff(picture: Picture, file: IO[bytes], exif: bytes | None) -> list[str]:
    """Notes on tags that were left out. Writes a TIFF of one strip, with profile, EXIF, XMP, IPTC and resolution.

    Deflated after the horizontal predictor, unless the input was a TIFF without compression. Floats are stored as 16
    bits. Raises PictureError beyond 4 GB.
    """
    samples = picture.interleaved(np.uint8 if picture.pixels.dtype == np.uint8 else np.uint16)
    if samples.shape[2] == 2 and samples.dtype == np.uint16:
        # grey with alpha of 16 bits: few programs read it, Pillow not at all
        samples = samples[..., [0, 0, 0, 1]]
    height, width, channels = samples.shape
    compression = _UNCOMPRESSED if picture.compression == "raw" else _DEFLATE
    strip = _strip(samples, compression)
    if len(strip) > _LARGEST:
        raise PictureError(f"{width}×{height} pixels are too many for TIFF; choose another format (--format png)")
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    dropped = [] if exif is None else _add_exif(tags, exif)
    layout: dict[int, Any] = {  # tag numbers of TIFF 6.0 §8
        256: width,
        257: height,
        258: (8 * samples.itemsize,) * channels,
        259: compression,
        262: 1 if channels < 3 else 2,  # grey or RGB
        273: 0,  # counted from the end of the tags, Pillow adds what is before
        277: channels,
        278: height,  # one strip: Pillow below 11 places no more
        279: len(strip),
        284: 1,  # interleaved
        317: 2 if compression == _DEFLATE else 1,  # predictor: differences along the row, or none
    }
    for tag, value in layout.items():
        tags[tag] = value
    if picture.alpha is not None:
        tags[338] = 2  # ExtraSamples: alpha that the colours were not multiplied by
    if picture.icc_profile is not None:
        tags.tagtype[34675] = 7
        tags[34675] = picture.icc_profile
    if picture.xmp is not None:
        tags.tagtype[700] = 1
        tags[700] = picture.xmp
    if picture.iptc is not None:
        tags.tagtype[34377] = 1
        tags[34377] = picture.iptc
    if picture.dpi is not None:
        tags[282], tags[283], tags[296] = picture.dpi[0], picture.dpi[1], 2
    tags.save(file)
    file.write(strip)
    return [f"its EXIF's tags {', '.join(dropped)} cannot be read and were dropped"] if dropped else []


def _add_exif(tags: TiffImagePlugin.ImageFileDirectory_v2, exif: bytes) -> list[str]:
    """Puts EXIF's entries among the TIFF's own, and gives the numbers of those that are damaged.

    Each is tried by itself: Pillow decodes and encodes their values, and fails at those that contradict their type.
    """
    dropped = []
    block = Image.Exif()
    with guarded("its EXIF cannot be read"):
        block.load(PREFIX + exif)
        found = sorted(block)
    for tag in found:
        try:
            with guarded("a damaged tag"):
                value = block.get_ifd(tag) if tag in (34665, 34853) else block[tag]
                trial = TiffImagePlugin.ImageFileDirectory_v2()
                trial[tag] = value
                trial.tobytes()
        except DamageError:
            dropped.append(str(tag))
        else:
            tags[tag] = value
    return dropped


def _strip(samples: NDArray[Any], compression: int) -> bytes:
    """The rows as TIFF's little-endian bytes; compressed a few at a time, so that only they are copied."""
    little = samples.dtype.newbyteorder("<")
    if compression == _UNCOMPRESSED:
        return samples.astype(little, copy=False).tobytes()
    deflate = zlib.compressobj(6)
    parts = []
    for top in range(0, len(samples), _ROWS):
        rows = samples[top : top + _ROWS]
        differences = rows.copy()
        differences[:, 1:] -= rows[:, :-1]
        parts.append(deflate.compress(differences.astype(little, copy=False).tobytes()))
    return b"".join((*parts, deflate.flush()))
