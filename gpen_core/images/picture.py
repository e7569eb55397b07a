"""What a picture is here: its decoded numbers as stored, and everything of its file that the result must keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import InputError
from .writing import write_picture

#: What a value of 1.0 is stored as, by the kind of number; also the list of kinds that are accepted.
FULL_SCALE: Mapping[str, float] = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}


@dataclass(frozen=True, kw_only=True)
class JpegSettings:
    """How a JPEG was compressed, so that its successor can be compressed alike.

    quantization: one table of 64 numbers per component group, in natural order; subsampling: 0 (4:4:4), 1 (4:2:2), 2
    (4:2:0), -1 (none of these).
    """

    quantization: Mapping[int, Sequence[int]]
    subsampling: int
    progressive: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Picture:
    """A picture as it is to be seen: upright, RGB, in its own colour space and depth.

    pixels: (H, W, 3) RGB, uint8, uint16, or float32 in [0, 1]; a grey picture has three equal channels and says `grey`.
    alpha: (H, W) of the same kind of number, not premultiplied, or None.
    icc_profile, exif (a TIFF block, orientation reset to 1), xmp, iptc (Photoshop's resources, which hold it),
    comments: the file's own bytes; text: PNG's text chunks; png_colour: PNG's that say what its numbers look like.
    compression: TIFF's scheme by Pillow's name; lossless: of a WebP or AVIF.
    pixel_aspect: width of a pixel over its height, as films have it; faces are found and straightened in square ones.
    pages: how many pictures the file holds. notes: what could not be kept, in sentences for the report.
    Raises InputError when the arrays do not fit together.
    """

    pixels: NDArray[Any]
    alpha: NDArray[Any] | None = None
    grey: bool = False
    icc_profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None
    comments: tuple[bytes, ...] = ()
    png_colour: Mapping[bytes, bytes] = field(default_factory=dict)
    text: Mapping[str, str] = field(default_factory=dict)
    dpi: tuple[float, float] | None = None
    format: str | None = None
    jpeg: JpegSettings | None = None
    lossless: bool = False
    compression: str | None = None
    pixel_aspect: float = 1.0
    pages: int = 1
    notes: tuple[str, ...] = ()
    path: Path | None = None

    def __post_init__(self) -> None:
        shape, kind = self.pixels.shape, self.pixels.dtype.name
        if len(shape) != 3 or shape[2] != 3 or 0 in shape:
            raise InputError(f"a picture's pixels have shape {shape}; expected (H, W, 3), at least 1×1")
        if kind not in FULL_SCALE:
            raise InputError(f"a picture's pixels are {kind}; expected one of {', '.join(FULL_SCALE)}")
        if not 0 < self.pixel_aspect < float("inf"):
            raise InputError(f"a picture's pixels are {self.pixel_aspect:g} times as wide as high; expected above 0")
        if self.alpha is not None and (self.alpha.shape != shape[:2] or self.alpha.dtype.name != kind):
            raise InputError(
                f"alpha is {self.alpha.dtype.name} {self.alpha.shape}; "
                f"the picture needs {kind} {shape[:2]}, like its pixels"
            )

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def full_scale(self) -> float:
        """What 1.0 is stored as: 255, 65535 or 1."""
        return FULL_SCALE[self.pixels.dtype.name]

    def with_pixels(
        self,
        pixels: NDArray[Any],
        *,
        grey: bool | None = None,
        alpha: NDArray[Any] | None = None,
        notes: Sequence[str] = (),
    ) -> Picture:
        """The same picture with other pixels (H', W', 3); `alpha` must be given where the size changes and there is
        one.

        grey: None keeps what it was. A grey picture that becomes coloured loses its grey colour profile, and says so.
        """
        grey = self.grey if grey is None else grey
        kept, profile = tuple(self.notes) + tuple(notes), self.icc_profile
        if self.grey and not grey and profile is not None and profile[16:20] == b"GRAY":
            profile = None
            kept += ("its grey colour profile was dropped, because the result is coloured",)
        return replace(
            self,
            pixels=pixels,
            grey=grey,
            alpha=self.alpha if alpha is None else alpha,
            icc_profile=profile,
            notes=kept,
        )

    def interleaved(self, dtype: type[np.generic] | None = None) -> NDArray[Any]:
        """(H, W, C): grey, grey and alpha, RGB or RGBA, as another kind of number where `dtype` is given."""
        colours = self.pixels[..., :1] if self.grey else self.pixels
        planes = colours if self.alpha is None else np.concatenate([colours, self.alpha[..., None]], axis=2)
        return planes if dtype is None else to_depth(planes, dtype)

    def to_pil(self) -> Image.Image:
        """A PIL image of mode L, LA, RGB or RGBA (8 bits, rounded), or I;16 for a grey picture of 16 bits without
        alpha."""
        planes = self.interleaved()
        if planes.dtype == np.uint16 and planes.shape[2] == 1:
            image = Image.fromarray(np.ascontiguousarray(planes[..., 0]))
        else:
            planes = to_depth(planes, np.uint8)
            image = Image.fromarray(np.ascontiguousarray(planes[..., 0] if planes.shape[2] == 1 else planes))
        for name, value in (("icc_profile", self.icc_profile), ("exif", self.exif), ("dpi", self.dpi)):
            if value is not None:
                image.info[name] = value
        return image

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The pixels, (H, W, 3)."""
        if dtype is None or np.dtype(dtype) == self.pixels.dtype:
            return self.pixels.copy() if copy else self.pixels
        return self.pixels.astype(dtype)

    def save(self, path: str | Path, **settings: Any) -> tuple[str, ...]:
        """Writes the picture; see `write_picture` for the settings and for what comes back."""
        return write_picture(self, path, **settings)


def own(values: NDArray[Any]) -> NDArray[Any]:
    """The same numbers, contiguous and writable (PyTorch shares memory with no others); copied only if need be."""
    return np.require(values, requirements=["C", "W"])


def to_depth(values: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """`values` as another kind of number (uint8, uint16 or float32), rounded and clipped; the same array where it is
    one already."""
    target = np.dtype(dtype)
    if values.dtype == target:
        return values
    if values.dtype == np.uint8 and target == np.uint16:
        wide: NDArray[np.uint16] = values.astype(np.uint16) * np.uint16(257)
        return wide
    if values.dtype == np.uint16 and target == np.uint8:
        narrow: NDArray[np.uint8] = ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
        return narrow
    unit: NDArray[np.float32] = values.astype(np.float32) / np.float32(FULL_SCALE[values.dtype.name])
    if target == np.float32:
        return unit
    rounded: NDArray[Any] = np.rint(np.clip(unit, 0.0, 1.0) * FULL_SCALE[target.name]).astype(target)
    return rounded
