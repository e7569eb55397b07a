"""Pictures in and out: orientation, colour profile, alpha, 8 and 16 bits, metadata."""

from .arrays import PictureLike, as_picture, convert_like
from .colour import from_srgb, to_srgb
from .picture import JpegSettings, Picture
from .reading import DEFAULT_MAX_PIXELS, READABLE_SUFFIXES, read_picture
from .writing import copy_picture, write_picture

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "READABLE_SUFFIXES",
    "JpegSettings",
    "Picture",
    "PictureLike",
    "as_picture",
    "convert_like",
    "copy_picture",
    "from_srgb",
    "read_picture",
    "to_srgb",
    "write_picture",
]
