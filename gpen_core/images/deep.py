"""More than eight bits a channel of HEIF, AVIF and JPEG XL, of which Pillow's readers keep eight."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .jpeg_xl import samples_of_jpeg_xl

#: AV1's configuration: its third byte has a flag for more than 8 bits, and one for 12.
_AV1, _HIGH, _TWELVE = b"av1C", 0x40, 0x20
#: It stands among the first bytes.
_HEADER = 1 << 16


def deep_samples(image: Image.Image, data: bytes, path: Path, notes: list[str]) -> NDArray[Any] | None:
    """(H, W, C) uint16 over the whole range, or floats, of an opened image of more than 8 bits; None for others.

    Notes say where they are read in eight for want of a package. Raises MissingPackageError for JPEG XL without its
    reader.
    """
    if image.format == "JXL":
        samples = samples_of_jpeg_xl(data, path)
        return None if samples.dtype == np.uint8 else _channels(samples.astype(np.result_type(samples, np.uint16)))
    if image.format == "AVIF":
        return _of_avif(data, notes)
    depth = image.info.get("bit_depth", 8) if image.format == "HEIF" else 8
    if not isinstance(depth, int) or depth <= 8 or image.mode.endswith("a"):
        return None
    from pillow_heif import open_heif

    # The values stand in the upper bits of 16.
    whole = np.asarray(open_heif(io.BytesIO(data), convert_hdr_to_8bit=False))
    return _channels(_over_whole_range(whole >> (16 - depth), depth))


def heif_of(samples: NDArray[np.uint16]) -> Any:
    """pillow-heif's file of samples (H, W, 3 | 4) over the whole range, to be saved in ten bits."""
    from pillow_heif import from_bytes

    height, width, channels = samples.shape
    return from_bytes(
        "RGBA;16" if channels == 4 else "RGB;16", (width, height), np.ascontiguousarray(samples).tobytes()
    )


def _of_avif(data: bytes, notes: list[str]) -> NDArray[Any] | None:
    at = data.find(_AV1, 0, _HEADER)
    flags = data[at + 6] if 0 <= at < len(data) - 6 else 0
    if not flags & _HIGH:
        return None
    depth = 12 if flags & _TWELVE else 10
    try:
        from imagecodecs import avif_decode
    except ImportError:
        notes.append(f"its {depth} bits a channel were read in 8; gpen[avif] (imagecodecs) keeps them")
        return None
    return _channels(_over_whole_range(avif_decode(data), depth))


def _over_whole_range(samples: NDArray[Any], depth: int) -> NDArray[np.uint16]:
    """Numbers of so many bits, white as 65535."""
    table = np.rint(np.arange(1 << depth) * (65535 / ((1 << depth) - 1))).astype(np.uint16)
    whole: NDArray[np.uint16] = table[samples]
    return whole


def _channels(samples: NDArray[Any]) -> NDArray[Any]:
    return samples if samples.ndim == 3 else samples[..., None]
