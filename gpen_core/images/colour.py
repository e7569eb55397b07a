"""Colour profiles: faces' crops to sRGB, which the network was trained on, and back.

Pillow's ImageCms works on 8 bits; crops here are floats. Matrix profiles (sRGB, Display P3, Adobe RGB, ProPhoto, a
grey's curve: nearly all photographs) are computed exactly from their own numbers; profiles made of tables are
sampled through ImageCms on a lattice.
"""

from __future__ import annotations

import io
from functools import lru_cache

import numpy as np
import torch
from PIL import Image, ImageCms
from torch import Tensor

from .profile import MatrixProfile, matrix_profile

_LATTICE = 33


def to_srgb(crops: Tensor, icc_profile: bytes | None) -> Tensor:
    """Crops (…, 3, H, W) in sRGB, [0, 1], clipped to its gamut; `crops` itself without a profile or with sRGB's own.

    An unreadable profile counts as sRGB, as viewers take it.
    """
    transform = _transform(icc_profile)
    return crops if transform is None else transform.to_srgb(crops)


def from_srgb(crops: Tensor, icc_profile: bytes | None) -> Tensor:
    """Crops (…, 3, H, W) in sRGB, [0, 1], in the profile's own space; inverse of `to_srgb` for colours of both
    gamuts."""
    transform = _transform(icc_profile)
    return crops if transform is None else transform.from_srgb(crops)


def cmyk_to_srgb(image: Image.Image, icc_profile: bytes | None) -> Image.Image:
    """An RGB image in sRGB: through the profile where there is a usable one, else by Pillow's plain formula."""
    if icc_profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")


class _LatticeProfile:
    """A profile of tables, sampled: 33 points a channel, trilinear between them."""

    def __init__(self, icc_profile: bytes) -> None:
        theirs = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        srgb = ImageCms.createProfile("sRGB")
        self._to = _sampled(theirs, srgb)
        self._from = _sampled(srgb, theirs)

    def to_srgb(self, crops: Tensor) -> Tensor:
        return _interpolated(self._to, crops)

    def from_srgb(self, crops: Tensor) -> Tensor:
        return _interpolated(self._from, crops)


def _sampled(source: object, target: object) -> Tensor:
    """(3, 33, 33, 33): channel; then blue, green, red."""
    levels = np.rint(np.linspace(0, 255, _LATTICE)).astype(np.uint8)
    red, green, blue = (levels[i].ravel() for i in np.indices((_LATTICE,) * 3)[::-1])
    grid = Image.fromarray(np.stack([red, green, blue], axis=-1).reshape(_LATTICE, _LATTICE**2, 3))
    converted = ImageCms.profileToProfile(grid, source, target, outputMode="RGB")  # type: ignore[arg-type]
    table = torch.from_numpy(np.array(converted, dtype=np.float32)).reshape(_LATTICE, _LATTICE, _LATTICE, 3)
    return table.permute(3, 0, 1, 2) / 255.0


def _interpolated(table: Tensor, crops: Tensor) -> Tensor:
    flat = crops.float().clamp(0, 1).reshape(-1, *crops.shape[-3:])
    points = flat.permute(0, 2, 3, 1)[:, None] * 2 - 1  # (B, 1, H, W, 3): red, green, blue = x, y, z
    lattice = table.to(crops.device).expand(len(flat), -1, -1, -1, -1)
    values = torch.nn.functional.grid_sample(
        lattice, points, mode="bilinear", padding_mode="border", align_corners=True
    )
    return values[:, :, 0].reshape(crops.shape).to(crops.dtype)


@lru_cache(maxsize=8)
def _transform(icc_profile: bytes | None) -> MatrixProfile | _LatticeProfile | None:
    if not icc_profile:
        return None
    matrix = matrix_profile(icc_profile)
    if matrix is not None:
        return None if matrix.is_srgb else matrix
    if icc_profile[16:20] != b"RGB ":
        return None
    try:
        return _LatticeProfile(icc_profile)
    except (ImageCms.PyCMSError, OSError):
        return None
