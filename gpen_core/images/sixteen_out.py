"""PNG and TIFF of 16 bits a channel, which Pillow holds only in grey.

PNG: PNG specification (third edition) §5, §9, §11; TIFF: TIFF 6.0 with deflate (Adobe Photoshop TIFF technical
notes) and the horizontal predictor. Floats are stored as 16 bits.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from .metadata import PREFIX
from .picture import Picture, to_depth

_ROWS = 64


def _samples(picture: Picture) -> NDArray[np.uint16]:
    """(H, W, 1…4), uint16."""
    planes = to_depth(picture.pixels[..., :1] if picture.grey else picture.pixels, np.uint16)
    if picture.alpha is None:
        return planes
    return np.concatenate([planes, to_depth(picture.alpha, np.uint16)[..., None]], axis=2)


def _chunk(file: IO[bytes], name: bytes, data: bytes) -> None:
    file.write(struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data)))


def write_png16(picture: Picture, file: IO[bytes], exif: bytes | None, texts: Mapping[str, str]) -> None:
    """Writes a PNG of 16 bits with profile, EXIF, resolution and texts; rows filtered by Paeth's predictor or Up,
    whichever is smaller."""
    samples = _samples(picture)
    height, width, channels = samples.shape
    file.write(b"\x89PNG\r\n\x1a\n")
    _chunk(file, b"IHDR", struct.pack(">LLBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0))
    if picture.icc_profile is not None:
        _chunk(file, b"iCCP", b"ICC profile\0\0" + zlib.compress(picture.icc_profile))
    if picture.dpi is not None:
        x, y = (round(value / 0.0254) for value in picture.dpi)
        _chunk(file, b"pHYs", struct.pack(">LLB", x, y, 1))
    for key, value in texts.items():
        _chunk(file, b"iTXt", key.encode("latin-1", "replace")[:79] + b"\0\0\0\0\0" + value.encode())
    if exif is not None:
        _chunk(file, b"eXIf", exif)
    stride = 2 * channels
    deflate = zlib.compressobj(6)
    above = np.zeros((1, width * stride), np.int16)
    for top in range(0, height, _ROWS):
        rows = samples[top : top + _ROWS].astype(">u2").view(np.uint8).reshape(-1, width * stride).astype(np.int16)
        upper = np.concatenate([above, rows[:-1]])
        _chunk(file, b"IDAT", deflate.compress(_filtered(rows, upper, stride).tobytes()))
        above = rows[-1:]
    _chunk(file, b"IDAT", deflate.flush())
    _chunk(file, b"IEND", b"")


def _filtered(rows: NDArray[np.int16], upper: NDArray[np.int16], stride: int) -> NDArray[np.uint8]:
    """Rows with their filter byte: per row Up (2) or Paeth (4), by the smaller sum of absolute differences."""
    left, corner = np.zeros_like(rows), np.zeros_like(rows)
    left[:, stride:], corner[:, stride:] = rows[:, :-stride], upper[:, :-stride]
    estimate = left + upper - corner
    to_left, to_upper, to_corner = abs(estimate - left), abs(estimate - upper), abs(estimate - corner)
    nearest = np.where(
        (to_left <= to_upper) & (to_left <= to_corner), left, np.where(to_upper <= to_corner, upper, corner)
    )
    candidates = [(2, (rows - upper).astype(np.uint8)), (4, (rows - nearest).astype(np.uint8))]
    costs = [np.abs(values.view(np.int8).astype(np.int32)).sum(axis=1) for _, values in candidates]
    paeth = (costs[1] < costs[0])[:, None]
    body = np.where(paeth, candidates[1][1], candidates[0][1])
    return np.concatenate([np.where(paeth, 4, 2).astype(np.uint8), body], axis=1)


def write_tiff16(picture: Picture, file: IO[bytes], exif: bytes | None) -> None:
    """Writes a TIFF of 16 bits, one strip per 64 rows, deflated, with profile, EXIF, XMP and resolution."""
    samples = _samples(picture)
    if samples.shape[2] == 2:  # grey with alpha of 16 bits: few programs read it, Pillow not at all
        samples = samples[..., [0, 0, 0, 1]]
    height, width, channels = samples.shape
    strips = [_strip(samples[top : top + _ROWS]) for top in range(0, height, _ROWS)]
    sizes = [len(strip) for strip in strips]
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    if exif is not None:
        block = Image.Exif()
        block.load(PREFIX + exif)
        for tag in block:
            tags[tag] = block.get_ifd(tag) if tag in (34665, 34853) else block[tag]
    layout: dict[int, Any] = {  # tag numbers of TIFF 6.0 §8
        256: width,
        257: height,
        258: (16,) * channels,
        259: 8,  # deflate
        262: 1 if channels < 3 else 2,  # grey or RGB
        273: tuple(int(v) for v in np.cumsum([0, *sizes[:-1]])),
        277: channels,
        278: _ROWS,
        279: tuple(sizes),
        284: 1,  # interleaved
        317: 2,  # horizontal predictor
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
    if picture.dpi is not None:
        tags[282], tags[283], tags[296] = picture.dpi[0], picture.dpi[1], 2
    tags.save(file)
    for strip in strips:
        file.write(strip)


def _strip(rows: NDArray[np.uint16]) -> bytes:
    """Rows after the horizontal predictor, deflated, in TIFF's little-endian order."""
    differences = rows.copy()
    differences[:, 1:] -= rows[:, :-1]
    return zlib.compress(differences.astype("<u2").tobytes(), 6)
