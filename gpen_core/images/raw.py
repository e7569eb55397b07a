"""Camera RAW, developed by LibRaw through the extra `raw`."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..errors import MissingPackageError
from .damage import DamageError, guarded
from .metadata import read_exif, without_orientation
from .picture import Picture

#: Such files are told by their names: many begin as TIFF does.
RAW_SUFFIXES = frozenset(
    (".dng", ".nef", ".nrw", ".cr2", ".cr3", ".arw", ".srf", ".sr2", ".raf", ".orf", ".rw2", ".pef", ".srw")
)


def open_raw(data: bytes, path: Path) -> Any:
    """rawpy's handle of a RAW file, to be closed. Raises MissingPackageError without the extra, DamageError."""
    try:
        import rawpy
    except ImportError as error:
        raise MissingPackageError(f"{path} is camera RAW, which needs rawpy; install gpen[raw]") from error
    with guarded(f"{path} is damaged, or RAW of an unknown camera"):
        return rawpy.imread(io.BytesIO(data))


def size_of_raw(raw: Any) -> tuple[int, int]:
    """Width and height of the developed picture, upright."""
    sizes = raw.sizes
    return (sizes.height, sizes.width) if sizes.flip in (5, 6) else (sizes.width, sizes.height)


def develop(raw: Any, path: Path) -> Picture:
    """The picture of a RAW file: upright, sRGB, 16 bits, in the light that the camera measured; LibRaw's brightness.

    EXIF is that of the preview in the file. Raises DamageError.
    """
    with guarded(f"{path} is damaged or cut short"):
        pixels = raw.postprocess(output_bps=16, use_camera_wb=True)
    notes: list[str] = ["camera RAW was developed by LibRaw with its own choices; the result is a picture, not RAW"]
    try:
        with guarded("no preview"):
            preview = Image.open(io.BytesIO(raw.extract_thumb().data))
        exif, _ = read_exif(preview, notes)
        exif, _ = without_orientation(exif, None)
    except DamageError:
        exif = None
        notes.append("its EXIF was left in the RAW file")
    return replace(Picture(pixels=np.ascontiguousarray(pixels)), exif=exif, notes=tuple(notes), format="RAW")
