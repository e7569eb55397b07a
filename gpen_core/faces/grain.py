"""A picture's own grain, measured where the picture is flat and laid over what a network made clean.

It is taken for Gaussian noise of some colour covariance and power spectrum (Galerne et al., "Random Phase Textures",
2011) whose variance may rise or fall with brightness.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..images.planes import luma

#: Side of the blocks that grain is looked for in; longer waves are taken for the picture.
_BLOCK = 16
#: Blocks that are looked at, at most, and those that must be left to tell anything.
_LOOKED_AT, _LEAST = 4000, 6
#: A block counts as flat up to this many times the structure of one among the flattest tenth; coarse grain varies so.
_MARGIN = 2.5
#: Closer to black or white than this, noise is cut off.
_CLIPPED = 1.5 / 255
#: Variance at a brightness, over the mean one, is within these.
_RANGE = (0.3, 2.5)


@dataclass(frozen=True, kw_only=True, eq=False)
class Grain:
    """Noise on pictures in [0, 1].

    kernels: (3, K, K), that white noise is convolved with. mixing: (3, 3), from the three results to RGB; grey: they
    are alike. variance: of a channel, at `brightness`; from black to white it rises by `slope` times that.
    """

    kernels: Tensor
    mixing: Tensor
    grey: bool
    variance: float
    slope: float
    brightness: float


def measure_grain(planes: Tensor) -> Grain | None:
    """The grain of `planes` (3, H, W) in [0, 1]; None where they are too small or too dark to tell, or have none."""
    blocks = _flattest(planes)
    if blocks is None:
        return None
    residual = blocks - _trend(blocks)
    variances = residual.square().mean((1, 2, 3))
    kept = variances <= 2 * variances.median()
    blocks, residual, variances = blocks[kept], residual[kept], variances[kept]
    values, mixing = torch.linalg.eigh(torch.einsum("nchw,ndhw->cd", residual, residual).double())
    if not float(values[-1]) > 0:
        return None
    mixing = mixing.float()
    window = torch.hann_window(_BLOCK + 2)[1:-1]
    window = window[:, None] * window[None]
    parts = torch.einsum("nchw,cd->ndhw", residual, mixing) * (window / window.square().mean().sqrt())
    spectra = torch.fft.fft2(parts).abs().square().mean(0) / _BLOCK**2
    kernels = torch.fft.fftshift(torch.fft.ifft2(spectra.sqrt()).real, dim=(-2, -1))
    slope, brightness = _slope(luma(blocks).mean((1, 2, 3)), variances)
    return Grain(
        kernels=kernels,
        mixing=mixing,
        grey=bool((blocks == blocks[:, :1]).all()),
        variance=float(spectra.mean((1, 2)).sum() / 3),
        slope=slope,
        brightness=brightness,
    )


def _flattest(planes: Tensor) -> Tensor | None:
    """(N, 3, B, B): the blocks with the least structure."""
    height, width = planes.shape[-2:]
    if min(height, width) < _BLOCK:
        return None
    step = max(_BLOCK // 2, int((height * width / _LOOKED_AT) ** 0.5))
    views = planes.unfold(1, _BLOCK, step).unfold(2, _BLOCK, step)
    blocks = views.permute(1, 2, 0, 3, 4).reshape(-1, 3, _BLOCK, _BLOCK)
    cut = ((blocks <= _CLIPPED) | (blocks >= 1 - _CLIPPED)).float().mean((1, 2, 3))
    blocks = blocks[cut < 0.02]
    if len(blocks) < _LEAST:
        return None
    structure = F.avg_pool2d(blocks - _trend(blocks), 4).square().mean((1, 2, 3))
    ranked, order = structure.sort(stable=True)
    # By the least structured ones alone, grain would come out too fine.
    flat = int((ranked <= _MARGIN * ranked[len(ranked) // 10]).sum())
    return blocks[order[: max(_LEAST, flat)]]


def _trend(blocks: Tensor) -> Tensor:
    """The plane that fits each block best."""
    line = torch.linspace(-1, 1, _BLOCK)
    line = line / line.norm()
    mean = blocks.mean((2, 3), keepdim=True)
    down = (blocks.mean(3) * line).sum(2)[..., None, None] * line[:, None]
    across = (blocks.mean(2) * line).sum(2)[..., None, None] * line[None]
    trend: Tensor = mean + down + across
    return trend


def _slope(brightness: Tensor, variances: Tensor) -> tuple[float, float]:
    """By how many times the mean variance it rises from black to white, and the brightness where it is the mean."""
    middle = float(brightness.mean())
    spread = brightness - middle
    if float(spread.std(correction=0)) < 0.04:
        return 0.0, middle
    slope = float((spread * variances).sum() / spread.square().sum() / variances.mean())
    return slope, middle


def make_grain(grain: Grain, picture: Tensor, clean: Tensor) -> Tensor:
    """(3, H, W) such noise to add to `clean` (3, H, W), by as much as that has less of it.

    picture: (3, H, W), what `clean` takes the place of. It is the seed: the same picture gets the same grain, and the
    next frame of a film another.
    """
    there = measure_grain(clean)
    lacking = 1.0 if there is None else max(0.0, 1 - there.variance / grain.variance)
    height, width = picture.shape[-2:]
    seed = zlib.crc32((picture * 255).clamp(0, 255).to(torch.uint8).contiguous().numpy().tobytes())
    side = grain.kernels.shape[-1]
    size = (max(height, side), max(width, side))
    white = torch.randn(3, *size, generator=torch.Generator().manual_seed(seed))
    waves = torch.fft.rfft2(white) * torch.fft.rfft2(grain.kernels, size)
    noise = torch.einsum("cd,dhw->chw", grain.mixing, torch.fft.irfft2(waves, size)[:, :height, :width])
    if grain.grey:
        noise = noise[:1].expand(3, -1, -1)
    level = (1 + grain.slope * (luma(clean) - grain.brightness)).clamp(*_RANGE)
    return noise * (level * lacking).sqrt()
