"""Blur with a kernel of its own for every picture of a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from .resample import with_border

_SMALLEST_SIGMA = 0.1


def gaussian_kernel(sigma: tuple[float, float], angle: float, size: int) -> Tensor:
    """(size, size), sum 1: an anisotropic Gaussian, its first axis turned by `angle` (radians); sigmas in pixels."""
    along, across = _rotated_axes(angle, size)
    first, second = (max(s, _SMALLEST_SIGMA) for s in sigma)
    kernel = torch.exp(-0.5 * ((along / first).square() + (across / second).square()))
    return kernel / kernel.sum()


def motion_kernel(length: float, angle: float, size: int) -> Tensor:
    """(size, size), sum 1: a line `length` pixels long through the centre, with soft ends and sides."""
    along, across = _rotated_axes(angle, size)
    kernel = (length / 2 + 0.5 - along.abs()).clamp(0, 1) * (1 - across.abs()).clamp(min=0)
    return kernel / kernel.sum()


def blur(pixels: Tensor, sizes: Sequence[int], kernels: Tensor) -> Tensor:
    """The ragged batch, each picture filtered by its own kernel (B, k, k), reflected at its own borders."""
    radius = kernels.shape[-1] // 2
    extent = pixels.shape[-1]
    # Rounded up to a length the Fourier transform likes; the surplus is never read.
    padded = math.ceil((extent + 2 * radius) / 16) * 16
    wide = with_border(pixels, sizes, radius, padded, "reflect")
    spectrum = torch.fft.rfft2(wide) * torch.fft.rfft2(kernels.flip(1, 2), s=(padded, padded))[:, None]
    filtered: Tensor = torch.fft.irfft2(spectrum, s=(padded, padded))
    return filtered[..., 2 * radius : 2 * radius + extent, 2 * radius : 2 * radius + extent]


def _rotated_axes(angle: float, size: int) -> tuple[Tensor, Tensor]:
    axis = torch.arange(size, dtype=torch.float32) - size // 2
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    cosine, sine = math.cos(angle), math.sin(angle)
    return cosine * x + sine * y, cosine * y - sine * x
