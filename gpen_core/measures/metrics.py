"""How good a restored picture is: PSNR, SSIM, sharpness and detail here; LPIPS and FID through libraries that bring
their weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError, MissingPackageError

_LUMA = (0.299, 0.587, 0.114)


def psnr(result: Tensor, target: Tensor) -> Tensor:
    """(B,) dB, over all channels; pictures (B, 3, H, W) in [0, 1]. Equal pictures: 130 dB and more."""
    _check(result, target)
    error = (result.double() - target.double()).square().flatten(1).mean(1)
    decibels: Tensor = -10 * torch.log10(error.clamp(min=1e-9 / 255**2))
    return decibels


def ssim(result: Tensor, target: Tensor) -> Tensor:
    """(B,): mean structural similarity (Wang et al. 2004) with a 7×7 uniform window and sample covariance, whole
    windows only.
    """
    _check(result, target)
    window = 7
    a, b = result.double(), target.double()
    count = window * window

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, window, stride=1)

    mean_a, mean_b = mean(a), mean(b)
    unbiased = count / (count - 1)
    variance_a = unbiased * (mean(a * a) - mean_a.square())
    variance_b = unbiased * (mean(b * b) - mean_b.square())
    covariance = unbiased * (mean(a * b) - mean_a * mean_b)
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    bottom = (mean_a.square() + mean_b.square() + c1) * (variance_a + variance_b + c2)
    similarity: Tensor = (top / bottom).flatten(1).mean(1)
    return similarity


def sharpness(result: Tensor, target: Tensor) -> Tensor:
    """(B,): mean |Laplacian| of the result over the original's; 1 is as sharp, a blurred picture is far below."""
    _check(result, target)
    own, wanted = (_laplacian(p).abs().flatten(1).mean(1) for p in (result, target))
    return own / wanted.clamp(min=1e-12)


def detail(result: Tensor, target: Tensor) -> Tensor:
    """(B,): correlation of the two Laplacians; noise raises sharpness, but not this."""
    _check(result, target)
    a, b = (_laplacian(p).flatten(1) for p in (result, target))
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    norms = torch.linalg.vector_norm(a, dim=1) * torch.linalg.vector_norm(b, dim=1)
    correlation: Tensor = (a * b).sum(1) / norms.clamp(min=1e-12)
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


def frechet_distance(features: int = 2048) -> Any:
    """torchmetrics' FrechetInceptionDistance over pictures in [0, 1]: `.update(pictures, real=…)`, `.compute()`.

    Raises MissingPackageError without torchmetrics and torch-fidelity. Its Inception weights are fetched if not at
    hand.
    """
    try:
        from torchmetrics.image.fid import FrechetInceptionDistance

        return FrechetInceptionDistance(feature=features, normalize=True)
    except ImportError as error:  # torchmetrics raises ModuleNotFoundError for torch-fidelity too
        raise MissingPackageError("FID needs torchmetrics with torch-fidelity; install gpen[metrics]") from error


def identity_similarity(embed: Callable[[Tensor], Tensor], result: Tensor, target: Tensor) -> Tensor:
    """(B,): cosine of the embeddings that `embed` gives of pictures (B, 3, S, S) in [0, 1]."""
    _check(result, target)
    with torch.no_grad():
        return F.cosine_similarity(embed(result).flatten(1).float(), embed(target).flatten(1).float(), dim=1)


def _laplacian(pictures: Tensor) -> Tensor:
    """Of the grey picture, rounded to 8 bits, in levels; mirrored at the borders without repeating them."""
    weights = torch.tensor(_LUMA, dtype=torch.float64, device=pictures.device)
    grey = (pictures.double() * 255 * weights[:, None, None]).sum(1, keepdim=True).round()
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=torch.float64, device=pictures.device)
    return F.conv2d(F.pad(grey, (1, 1, 1, 1), mode="reflect"), kernel[None, None])


def _check(result: Tensor, target: Tensor) -> None:
    if result.shape != target.shape or result.ndim != 4:
        raise InputError(
            f"result is {tuple(result.shape)} and original {tuple(target.shape)}; both must be one (B, C, H, W)"
        )
