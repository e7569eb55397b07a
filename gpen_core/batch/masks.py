"""Masks that users paint: which one is a picture's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..files import files_below
from ..images import READABLE_SUFFIXES, Picture, read_picture
from ..images.mask import as_mask

#: A picture to how much of each of its pixels may change, (H, W) in [0, 1].
Masks = Callable[[Picture], NDArray[np.float32]]


def painted_masks(file: Path | None = None, folder: Path | None = None, *, invert: bool = False) -> Masks:
    """One mask for every picture, or of each picture the one in `folder` that is called like it, whatever its suffix.

    White is what may change; invert: what may not. A picture in a folder of its own has its mask in a folder of that
    name, or beside all others. Raises PictureError for a file that is no picture, InputError for two masks of one name,
    and, when asked, for a picture without a mask or of another size.
    """
    drawn = None if file is None else read_picture(file)
    by_name = {} if folder is None else _by_name(folder)

    def mask_of(picture: Picture) -> NDArray[np.float32]:
        given = _called_like(picture.path, by_name, folder) if drawn is None else drawn
        mask = as_mask(given, (picture.height, picture.width))
        return 1 - mask if invert else mask

    return mask_of


def _by_name(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder of masks")
    found: dict[str, Path] = {}
    for path in files_below(folder):
        if path.suffix.lower() not in READABLE_SUFFIXES:
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise InputError(f"{found[name]} and {path} are masks of the same picture; leave one there")
        found[name] = path
    return found


def _called_like(path: Path | None, by_name: dict[str, Path], folder: Path | None) -> Path:
    parts = () if path is None else path.with_suffix("").parts
    for first in range(len(parts)):
        mask = by_name.get("/".join(parts[first:]))
        if mask is not None:
            return mask
    raise InputError(
        f"{folder} holds no mask for {path}; put {parts[-1] if parts else 'one'}.png there, all white to restore all"
    )
