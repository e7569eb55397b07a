"""How good a restored picture is, by arithmetic: PSNR, SSIM in two forms, sharpness and detail."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError, MissingPackageError
from ..images.planes import LUMA


def psnr(result: Tensor, target: Tensor) -> Tensor:
    """(B,) dB, over all channels; pictures (B, 3, H, W) in [0, 1]. Equal pictures: 130 dB and more."""
    _check(result, target)
    error = (result.double() - target.double()).square().flatten(1).mean(1)
    decibels: Tensor = -10 * torch.log10(error.clamp(min=1e-9 / 255**2))
    return decibels


def ssim(result: Tensor, target: Tensor) -> Tensor:
    """(B,): mean structural similarity (Wang et al. 2004) with a 7×7 uniform window and sample covariance, whole
    windows only: scikit-image's.
    """
    return _similarity(result, target, [1 / 7] * 7, unbiased=49 / 48)


def ssim_basicsr(result: Tensor, target: Tensor) -> Tensor:
    """(B,): the same with the paper's 11×11 Gaussian window of 1.5 px, over RGB, whole windows only: BasicSR's, what
    papers on face restoration print.
    """
    taps = [math.exp(-((i - 5) ** 2) / (2 * 1.5**2)) for i in range(11)]
    return _similarity(result, target, [tap / sum(taps) for tap in taps], unbiased=1.0)


def _similarity(result: Tensor, target: Tensor, window: Sequence[float], *, unbiased: float) -> Tensor:
    _check(result, target)
    if min(result.shape[-2:]) < len(window):
        raise InputError(
            f"pictures of {result.shape[-1]}×{result.shape[-2]} px are smaller than SSIM's {len(window)} px"
        )
    c1, c2 = 0.01**2, 0.03**2
    means = []
    # Plane by plane: what stays in the cache is done in a fraction of the time. Around mid-grey the squares are small
    # enough for float32 (1e-7 of the result): half the memory of doubles, twice the numbers at a time.
    for a, b in zip(result.float().flatten(0, 1) - 0.5, target.float().flatten(0, 1) - 0.5, strict=True):
        # Variances come as a sum only: four means of windows, not five.
        mean_a, mean_b, squares, product = (_windows(x, window) for x in (a, b, a * a + b * b, a * b))
        variances = unbiased * (squares - (mean_a * mean_a + mean_b * mean_b))
        covariance = unbiased * (product - mean_a * mean_b)
        mean_a, mean_b = mean_a.add_(0.5), mean_b.add_(0.5)
        top = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
        bottom = (mean_a * mean_a + mean_b * mean_b + c1) * (variances + c2)
        means.append((top / bottom).mean(dtype=torch.float64))
    return torch.stack(means).view(len(result), -1).mean(1)


def _windows(plane: Tensor, weights: Sequence[float]) -> Tensor:
    """Weighted means over all whole windows of `plane` (H, W)."""
    for dim in (0, 1):
        length = plane.shape[dim] - len(weights) + 1
        total = plane.narrow(dim, 0, length) * weights[0]
        for start, weight in enumerate(weights[1:], 1):
            total.add_(plane.narrow(dim, start, length), alpha=weight)
        plane = total
    return plane


def sharpness(result: Tensor, target: Tensor) -> Tensor:
    """(B,): mean |Laplacian| of the result over the original's; 1 is as sharp, a blurred picture is far below. NaN
    where the original is one colour."""
    _check(result, target)
    own, wanted = (_laplacian(p).abs_().flatten(1).mean(1, dtype=torch.float64) for p in (result, target))
    return own / torch.where(wanted > 0, wanted, math.nan)


def detail(result: Tensor, target: Tensor) -> Tensor:
    """(B,): correlation of the two Laplacians; noise raises sharpness, but not this. NaN where the original is one
    colour, 0 where only the result is."""
    _check(result, target)
    a, b = (_laplacian(p).flatten(1) for p in (result, target))
    a, b = (x - x.mean(1, keepdim=True, dtype=torch.float64).float() for x in (a, b))
    own, wanted = ((x * x).sum(1, dtype=torch.float64).sqrt() for x in (a, b))
    product = (a * b).sum(1, dtype=torch.float64)
    correlation: Tensor = product / (own.clamp(min=1e-12) * torch.where(wanted > 0, wanted, math.nan))
    return correlation


FIGURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "psnr": psnr,
    "ssim": ssim,
    "sharpness": sharpness,
    "detail": detail,
}


def perceptual_distance(network: str = "alex") -> Callable[[Tensor, Tensor], Tensor]:
    """LPIPS as a function of (result, original) in [0, 1], giving (B,).

    Raises MissingPackageError without the package `lpips`. Its backbone's weights come from torchvision, and are
    fetched if not at hand.
    """
    try:
        import lpips
    except ImportError as error:
        raise MissingPackageError("LPIPS needs the package lpips; install gpen[metrics]") from error
    model: Any = lpips.LPIPS(net=network, verbose=False).eval().requires_grad_(False)

    def distance(result: Tensor, target: Tensor) -> Tensor:
        _check(result, target)
        model.to(result.device)
        with torch.no_grad():
            value: Tensor = model(result.float() * 2 - 1, target.float() * 2 - 1)
        return value.flatten()

    return distance


def identity_similarity(embed: Callable[[Tensor], Tensor], result: Tensor, target: Tensor) -> Tensor:
    """(B,): cosine of the embeddings that `embed` gives of pictures (B, 3, S, S) in [0, 1]."""
    _check(result, target)
    with torch.no_grad():
        return F.cosine_similarity(embed(result).flatten(1).float(), embed(target).flatten(1).float(), dim=1)


def _laplacian(pictures: Tensor) -> Tensor:
    """(B, H, W) of the grey picture, rounded to 8 bits, in levels, whole numbers; mirrored at the borders without
    repeating them."""
    grey = torch.stack([_grey(picture) for picture in pictures])
    wide = F.pad(grey[:, None], (1, 1, 1, 1), mode="reflect")[:, 0]
    around = wide[:, 1:-1, :-2] + wide[:, 1:-1, 2:] + wide[:, :-2, 1:-1] + wide[:, 2:, 1:-1]
    return around - 4 * grey


def _grey(picture: Tensor) -> Tensor:
    """(H, W) of (3, H, W) in [0, 1]: in doubles until it is rounded, as many greys lie halfway between two levels."""
    red, green, blue = (plane.double().mul_(255).mul_(weight) for plane, weight in zip(picture, LUMA, strict=True))
    grey: Tensor = red.add_(green).add_(blue).round_().float()
    return grey


def _check(result: Tensor, target: Tensor) -> None:
    if result.shape != target.shape or result.ndim != 4:
        raise InputError(
            f"result is {tuple(result.shape)} and original {tuple(target.shape)}; both must be one (B, C, H, W)"
        )
