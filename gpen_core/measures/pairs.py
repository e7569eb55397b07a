"""Results beside their partners: by name, at one size, and refused in words where they don't belong together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import PictureError
from ..images.picture import Picture, to_depth
from ..images.reading import decode_picture

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
#: Folders that a message names.
_NAMED = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """A picture (1, 3, H, W) in [0, 1], the hash of its file, and whether it is grey."""

    pixels: Tensor
    sha256: str
    grey: bool


def pictures_in(folder: Path) -> dict[str, Path]:
    """The folder's pictures by stem. Raises PictureError where there are none, or two of one stem."""
    if not folder.is_dir():
        raise PictureError(f"{folder} is not a folder of pictures")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if not _is_one(path):
            continue
        if path.stem in found:
            raise PictureError(f"{found[path.stem]} and {path.name} have one name; results pair by it, without endings")
        found[path.stem] = path
    if not found:
        below = [one for one in sorted(folder.iterdir()) if one.is_dir() and any(map(_is_one, one.iterdir()))]
        if not below:
            raise PictureError(f"{folder} holds no picture; expected {', '.join(_SUFFIXES)}")
        more = f" and {len(below) - _NAMED} more" if len(below) > _NAMED else ""
        named = ", ".join(map(str, below[:_NAMED]))
        raise PictureError(f"{folder} holds no picture, but folders of them; give one: {named}{more}")
    return found


def _is_one(path: Path) -> bool:
    return path.suffix.lower() in _SUFFIXES


def paired_names(results: dict[str, Path], partners: dict[str, Path], where: tuple[Path, Path]) -> list[str]:
    """The stems that both have. Raises PictureError for none."""
    shared = [stem for stem in partners if stem in results]
    if not shared:
        raise PictureError(
            f"{where[0]} and {where[1]} share no picture (for instance {next(iter(results))} and "
            f"{next(iter(partners))}); they pair by file name without its ending"
        )
    return shared


def load(path: Path) -> Loaded:
    """Raises PictureError for what cannot be read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PictureError(f"{path} cannot be read: {error.strerror or error}") from error
    picture: Picture = decode_picture(data, path, max_pixels=100_000_000, allow_truncated=False)
    levels = np.ascontiguousarray(to_depth(picture.pixels, np.uint8).transpose(2, 0, 1))
    pixels = torch.from_numpy(levels)[None].float() / 255
    return Loaded(pixels=pixels, sha256=hashlib.sha256(data).hexdigest(), grey=picture.grey)


def fitted(result: Loaded, partner: Loaded, names: tuple[Path, Path]) -> tuple[Tensor, list[str]]:
    """The result at the partner's size, by area, and what is to be said of the pair.

    Raises PictureError where their shapes differ, or a mask stands in the place of a picture.
    """
    notes = []
    pixels, (height, width) = result.pixels, partner.pixels.shape[-2:]
    if _is_mask(pixels) and not _is_mask(partner.pixels):
        raise PictureError(f"{names[0]} holds black and white alone: a mask in the place of a picture?")
    if result.grey != partner.grey:
        grey, coloured = names if result.grey else names[::-1]
        notes.append(f"{grey} is grey beside {coloured}, which has colour")
    if pixels.shape[-2:] != (height, width):
        own = pixels.shape[-1] / pixels.shape[-2]
        if abs(own * height / width - 1) > 0.01:
            raise PictureError(
                f"{names[0]} has {pixels.shape[-1]}×{pixels.shape[-2]} px and {names[1]} {width}×{height}: other shapes"
            )
        notes.append(f"{names[0]} was brought from {pixels.shape[-1]} to its partner's {width} px of width")
        pixels = F.interpolate(pixels, (height, width), mode="area")
    return pixels, notes


def _is_mask(pixels: Tensor) -> bool:
    """Whether there is nothing but black and white, and both."""
    return bool(((pixels == 0) | (pixels == 1)).all()) and bool(pixels.min() < pixels.max())
