"""16-bit pictures read through Pillow's 8-bit modes.

Pillow holds no RGB of 16 bits: its decoders unpack such rows into 8, keeping one byte of each number. Which byte
depends on the byte order that the unpacker is told, so decoding twice, once with the order reversed, yields the high
and the low bytes at C speed, for every filter, interlacing and compression that Pillow knows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from ..errors import PictureError

_NATIVE = ";16L" if sys.byteorder == "little" else ";16B"


def sixteen_bit_mode(image: ImageFile.ImageFile) -> str | None:
    """Pillow's raw mode ("RGB;16B", …) when the file holds more than 8 bits and Pillow would keep only 8, else None."""
    given = image.tile[0][3] if image.tile else ""
    mode = str(given[0] if isinstance(given, tuple) and given else given)
    return mode if ";16" in mode and image.mode in ("RGB", "RGBA", "LA", "RGBX", "RGBa") else None


def _decode(
    image: ImageFile.ImageFile, mode: str, raw_mode: str, load: Callable[[ImageFile.ImageFile], None]
) -> NDArray[np.uint8]:
    tiles: list[Any] = []
    for tile in image.tile:
        decoder, extents, offset, args = tile
        args = (raw_mode, *args[1:]) if isinstance(args, tuple) else raw_mode
        # a plain tuple before Pillow 11, a named one since
        tiles.append(tile._replace(args=args) if hasattr(tile, "_replace") else (decoder, extents, offset, args))
    image.tile = tiles
    image._mode = mode
    load(image)
    return np.asarray(image)


def read_sixteen_bits(
    open_file: Callable[[], ImageFile.ImageFile], raw_mode: str, load: Callable[[ImageFile.ImageFile], None]
) -> NDArray[np.uint16]:
    """(H, W, C) with C = 2 (grey and alpha), 3 or 4.

    open_file gives a fresh, undecoded image each time; load decodes it. Raises PictureError for a layout of samples
    that has no such raw mode.
    """
    family, _, order = raw_mode.partition(";16")
    if family == "LA":  # no byte-swapped unpacker: the four bytes of a pixel are read as if they were RGBA
        raw = _decode(open_file(), "RGBA", "RGBA", load).astype(np.uint16)
        return np.stack([raw[..., 0] << 8 | raw[..., 1], raw[..., 2] << 8 | raw[..., 3]], axis=2)
    if family not in ("RGB", "RGBA", "RGBX") or order not in ("B", "L", "N"):
        raise PictureError(
            f"16-bit samples in the layout {raw_mode!r} cannot be read; "
            "save the picture with interleaved RGB or RGBA samples"
        )
    high_order = _NATIVE if order == "N" else f";16{order}"
    low_order = ";16L" if high_order == ";16B" else ";16B"
    mode = Image.getmodebase(family) if family == "RGBX" else family
    high = _decode(open_file(), mode, family + high_order, load).astype(np.uint16)
    low = _decode(open_file(), mode, family + low_order, load)
    joined: NDArray[np.uint16] = (high << np.uint16(8)) | low
    return joined
