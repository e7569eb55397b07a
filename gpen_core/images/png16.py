"""PNG of 16 bits a channel, which Pillow writes only in grey (PNG specification, third edition, §5, §9, §11)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .bare import PNG_MAGIC, png_chunk

if TYPE_CHECKING:
    from .picture import Picture

_ROWS = 64


def write_png16(picture: Picture, file: IO[bytes], exif: bytes | None, texts: Mapping[str, str]) -> None:
    """Writes a PNG of 16 bits with profile, EXIF, resolution and texts; rows filtered by Paeth's predictor or Up,
    whichever is smaller."""
    samples = picture.interleaved(np.uint16)
    height, width, channels = samples.shape
    file.write(PNG_MAGIC)

    def put(name: bytes, content: bytes) -> None:
        file.write(png_chunk(name, content))

    put(b"IHDR", struct.pack(">LLBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0))
    for name, content in picture.png_colour.items():
        put(name, content)
    if picture.icc_profile is not None:
        put(b"iCCP", b"ICC profile\0\0" + zlib.compress(picture.icc_profile))
    if picture.dpi is not None:
        x, y = (round(value / 0.0254) for value in picture.dpi)
        put(b"pHYs", struct.pack(">LLB", x, y, 1))
    for key, value in texts.items():
        put(b"iTXt", key.encode("latin-1", "replace")[:79] + b"\0\0\0\0\0" + value.encode())
    if exif is not None:
        put(b"eXIf", exif)
    stride = 2 * channels
    deflate = zlib.compressobj(6)
    above = np.zeros((1, width * stride), np.int16)
    for top in range(0, height, _ROWS):
        rows = samples[top : top + _ROWS].astype(">u2").view(np.uint8).reshape(-1, width * stride).astype(np.int16)
        upper = np.concatenate([above, rows[:-1]])
        put(b"IDAT", deflate.compress(_filtered(rows, upper, stride).tobytes()))
        above = rows[-1:]
    put(b"IDAT", deflate.flush())
    put(b"IEND", b"")


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
