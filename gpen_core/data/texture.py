"""Texture that film, sensors and scanners leave on a picture, and the rims of sharpening."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .blur import blur, gaussian_kernel
from .draws import noise

# Wide enough for the largest sizes that `Pass` allows; one width for all, so that a picture's batch does not matter.
_GRAIN_EXTENT, _COLOUR_EXTENT, _SHARPEN_EXTENT = 13, 25, 19


@dataclass(frozen=True, kw_only=True)
class Texture:
    """Grain of brightness and noise of colour: amplitudes in [0, 1], sizes as the sigma of their blur in pixels."""

    grain: float
    grain_size: float
    colour: float
    colour_size: float
    key: int


@dataclass(frozen=True, kw_only=True)
class Sharpening:
    """An unsharp mask; radius: sigma in pixels."""

    amount: float
    radius: float


def add_texture(pixels: Tensor, sizes: Sequence[int], textures: Sequence[Texture]) -> Tensor:
    """The ragged batch with each picture's own grain, strongest in the middle tones, and noise of colour."""
    extent = pixels.shape[-1]
    fields = noise([t.key for t in textures], (3, extent, extent), pixels.device)
    grain = _coarse(fields[:, :1], sizes, [t.grain_size for t in textures], _GRAIN_EXTENT)
    blue, red = _coarse(fields[:, 1:], sizes, [t.colour_size for t in textures], _COLOUR_EXTENT).unbind(1)
    strength = pixels.new_tensor([t.grain for t in textures])[:, None, None, None]
    colour = pixels.new_tensor([t.colour for t in textures])[:, None, None, None]
    brightness = pixels.mean(1, keepdim=True).clamp(0, 1)
    middle = 0.4 + 2.4 * brightness * (1 - brightness)
    # Colour differences (Rec. 601): the brightness stays.
    rgb = torch.stack([1.402 * red, -0.344136 * blue - 0.714136 * red, 1.772 * blue], 1)
    return pixels + strength * middle * grain + colour * rgb


def sharpen(pixels: Tensor, sizes: Sequence[int], masks: Sequence[Sharpening]) -> Tensor:
    """The ragged batch in [0, 1] after an unsharp mask without a threshold: edges get rims, grain gets harsher."""
    kernels = torch.stack([gaussian_kernel((m.radius, m.radius), 0.0, _SHARPEN_EXTENT) for m in masks])
    amounts = pixels.new_tensor([m.amount for m in masks])[:, None, None, None]
    # Clipped as the file clips it: rims on white paper are white.
    return (pixels + amounts * (pixels - blur(pixels, sizes, kernels.to(pixels.device)))).clamp(0, 1)


def _coarse(fields: Tensor, sizes: Sequence[int], sigmas: Sequence[float], extent: int) -> Tensor:
    """Standard normal `fields` smoothed to this size of grain, of variance 1 again."""
    kernels = torch.stack([gaussian_kernel((s, s), 0.0, extent) for s in sigmas])
    kernels = kernels / kernels.square().sum((1, 2), keepdim=True).sqrt()
    return blur(fields, sizes, kernels.to(fields.device))
