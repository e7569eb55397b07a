"""The operators of StyleGAN2 as plain, twice differentiable functions; each names the slow form it is tested against.

Sources: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN" (2020), §2.2 and appendix B.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

LEAKY_SLOPE = 0.2
BLUR_TAPS = (1.0, 3.0, 3.0, 1.0)
Padding = tuple[int, int]


def blur_kernel(gain: float = 1.0) -> Tensor:
    """The binomial low-pass (4, 4) as stored in the official files: sum `gain`."""
    taps = torch.tensor(BLUR_TAPS, device="cpu")
    kernel = torch.outer(taps, taps)
    return kernel * (gain / kernel.sum())


def at_least_float32(dtype: torch.dtype) -> torch.dtype:
    """The precision of numerically tender steps: float32, or float64 where the tensors already are."""
    return torch.promote_types(dtype, torch.float32)


def leaky_relu(x: Tensor, bias: Tensor | None = None) -> Tensor:
    """`x` + bias, through leaky ReLU(0.2), times √2, which keeps the variance. bias: one per channel (axis 1)."""
    if bias is not None:
        x = x + bias.to(x.dtype).view(1, -1, *([1] * (x.ndim - 2)))
    return F.leaky_relu(x, LEAKY_SLOPE) * math.sqrt(2)


def pixel_norm(x: Tensor) -> Tensor:
    """`x` with the mean square over axis 1 brought to one, in float32 at least."""
    wide = x.to(at_least_float32(x.dtype))
    return (wide * torch.rsqrt(wide.square().mean(dim=1, keepdim=True) + 1e-8)).to(x.dtype)


def blur(x: Tensor, kernel: Tensor, padding: Padding) -> Tensor:
    """`x` (B, C, H, W), zero-padded (before, after) on both axes, filtered by `kernel` (k, k) channel by channel."""
    channels = x.shape[1]
    before, after = padding
    # The kernel is symmetric, so correlation and convolution agree.
    weight = kernel.to(x.dtype).expand(channels, 1, *kernel.shape)
    if before == after:
        return F.conv2d(x, weight, padding=before, groups=channels)
    return F.conv2d(F.pad(x, (before, after, before, after)), weight, groups=channels)


def upsample(x: Tensor, kernel: Tensor) -> Tensor:
    """`x` (B, C, H, W) at twice the size, (B, C, 2H, 2W): zeros between the pixels, then `kernel` of sum 4."""
    channels = x.shape[1]
    weight = kernel.to(x.dtype).expand(channels, 1, *kernel.shape)
    # A transposed convolution is zero insertion and filtering in one pass; pad 1 keeps the phase of (2, 1) padding.
    return F.conv_transpose2d(x, weight, stride=2, padding=1, groups=channels)


def modulated_convolution(
    x: Tensor,
    weight: Tensor,
    style: Tensor,
    *,
    demodulate: bool = True,
    upsampling_kernel: Tensor | None = None,
) -> Tensor:
    """A convolution whose input channels are scaled by `style` and whose output channels are brought back to unit norm.

    x: (B, I, H, W); weight: (O, I, k, k), already equalised; style: (B, I). Gives (B, O, H, W), or (B, O, 2H, 2W) when
    an upsampling kernel of sum 4 is given. The activations are scaled, not the weights, so that one set of weights
    serves the batch; `modulated_convolution_per_sample` is the textbook form.
    """
    wide = at_least_float32(x.dtype)
    style = style.to(wide)
    scaled = x * style.to(x.dtype)[:, :, None, None]
    kernel = weight.to(x.dtype)
    if upsampling_kernel is None:
        out = F.conv2d(scaled, kernel, padding=weight.shape[-1] // 2)
    else:
        out = blur(F.conv_transpose2d(scaled, kernel.transpose(0, 1), stride=2), upsampling_kernel, (1, 1))
    if not demodulate:
        return out
    power = weight.to(wide).square().sum(dim=(2, 3))
    norm = torch.rsqrt(style.square() @ power.t() + 1e-8)
    return out * norm.to(out.dtype)[:, :, None, None]


def modulated_convolution_per_sample(
    x: Tensor,
    weight: Tensor,
    style: Tensor,
    *,
    demodulate: bool = True,
    upsampling_kernel: Tensor | None = None,
) -> Tensor:
    """What `modulated_convolution` gives, as the paper writes it: weights of its own for each sample."""
    results = []
    for sample, scales in zip(x, style, strict=True):
        own = weight * scales[None, :, None, None]
        if demodulate:
            own = own * torch.rsqrt(own.square().sum(dim=(1, 2, 3), keepdim=True) + 1e-8)
        if upsampling_kernel is None:
            results.append(F.conv2d(sample[None], own, padding=weight.shape[-1] // 2))
        else:
            wide = F.conv_transpose2d(sample[None], own.transpose(0, 1), stride=2)
            results.append(blur(wide, upsampling_kernel, (1, 1)))
    return torch.cat(results)


def minibatch_deviation(x: Tensor, group: int | None = None) -> Tensor:
    """`x` (B, C, H, W) with one more channel: the mean over C, H, W of the deviation within each group of samples.

    group: samples that are compared; None: the whole batch, as GPEN. A group that does not divide B is refused by view.
    """
    batch, channels, height, width = x.shape
    group = batch if group is None else min(group, batch)
    wide = x.to(at_least_float32(x.dtype)).view(group, -1, channels, height, width)
    deviation = torch.sqrt(wide.var(dim=0, unbiased=False) + 1e-8).mean(dim=(1, 2, 3))
    plane = deviation.to(x.dtype).repeat(group)[:, None, None, None].expand(-1, 1, height, width)
    return torch.cat([x, plane], dim=1)
