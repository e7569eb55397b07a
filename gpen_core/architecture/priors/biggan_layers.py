"""The layers of BigGAN: norms that a condition gives gain and bias, attention, residual blocks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ..layers import FeatureInput, normal
from .biggan_prepared import EPSILON
from .progressive import doubled

MOMENTUM = 0.1


class Linear(nn.Module):
    """A linear layer with orthogonal weights."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True, generator: Generator | None) -> None:
        super().__init__()
        self.weight = orthogonal(outputs, inputs, generator=generator)
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, outputs) from `x` (B, inputs)."""
        return F.linear(x, self.weight.to(x.dtype), self.bias)


class Convolution(nn.Module):
    """A convolution that keeps the size, with orthogonal weights."""

    def __init__(self, inputs: int, outputs: int, size: int, *, bias: bool = True, generator: Generator | None) -> None:
        super().__init__()
        self.weight = orthogonal(outputs, inputs, size, size, generator=generator)
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, outputs, H, W) from `x` (B, inputs, H, W)."""
        return F.conv2d(x, self.weight, self.bias, padding=self.weight.shape[-1] // 2)


def orthogonal(*shape: int, generator: Generator | None) -> nn.Parameter:
    """A parameter whose rows (or columns, where there are more rows) are orthogonal and of unit length."""
    drawn = normal(*shape, generator=generator)
    if drawn.is_meta:
        return drawn
    rows = drawn.detach().flatten(1)
    wide = rows.shape[0] < rows.shape[1]
    basis, signs = torch.linalg.qr(rows.t() if wide else rows)
    basis = basis * signs.diagonal().sign()
    return nn.Parameter((basis.t() if wide else basis).reshape(shape).contiguous())


class ConditionalNorm(nn.Module):
    """Batch norm whose gains and biases come from a condition."""

    stored_mean: Tensor
    stored_var: Tensor

    def __init__(self, channels: int, condition: int, *, generator: Generator | None) -> None:
        super().__init__()
        self.gain = Linear(condition, channels, bias=False, generator=generator)
        self.bias = Linear(condition, channels, bias=False, generator=generator)
        self.register_buffer("stored_mean", torch.zeros(channels))
        self.register_buffer("stored_var", torch.ones(channels))

    def forward(self, x: Tensor, condition: Tensor, standing: bool) -> Tensor:
        """The shape of `x` (B, C, H, W). condition: (B, …); standing: by stored statistics, else the batch's."""
        out = F.batch_norm(x, self.stored_mean, self.stored_var, None, None, not standing, MOMENTUM, EPSILON)
        gain, bias = (layer(condition).to(x.dtype)[:, :, None, None] for layer in (self.gain, self.bias))
        return torch.addcmul(bias, out, 1 + gain)


class OutputNorm(nn.Module):
    """Batch norm with gains and biases of its own."""

    stored_mean: Tensor
    stored_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("stored_mean", torch.zeros(channels))
        self.register_buffer("stored_var", torch.ones(channels))

    def forward(self, x: Tensor, standing: bool) -> Tensor:
        """The shape of `x` (B, C, H, W)."""
        mean, var, gain, bias = self.stored_mean, self.stored_var, self.gain, self.bias
        return F.batch_norm(x, mean, var, gain, bias, not standing, MOMENTUM, EPSILON)


class Attention(nn.Module):
    """Self-attention over a quarter of the places (Zhang et al. 2019), times a learnt scalar that starts at zero."""

    def __init__(self, channels: int, *, generator: Generator | None) -> None:
        super().__init__()
        inner, value = max(1, channels // 8), max(1, channels // 2)
        self.theta = Convolution(channels, inner, 1, bias=False, generator=generator)
        self.phi = Convolution(channels, inner, 1, bias=False, generator=generator)
        self.g = Convolution(channels, value, 1, bias=False, generator=generator)
        self.o = Convolution(value, channels, 1, bias=False, generator=generator)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """The shape of `x` (B, C, H, W)."""
        queries = self.theta(x).flatten(2).transpose(1, 2)
        keys, values = (F.max_pool2d(layer(x), 2).flatten(2).transpose(1, 2) for layer in (self.phi, self.g))
        seen = F.scaled_dot_product_attention(queries, keys, values, scale=1.0)
        places: Tensor = self.o(seen.transpose(1, 2).reshape(x.shape[0], -1, *x.shape[2:]))
        return x + self.gamma * places


class Block(nn.Module):
    """One resolution: two conditional norms and convolutions beside a 1×1 shortcut; features after each convolution."""

    def __init__(self, inputs: int, outputs: int, width: int, condition: int, *, generator: Generator | None) -> None:
        super().__init__()
        self.bn1 = ConditionalNorm(inputs * width, condition, generator=generator)
        self.conv1 = Convolution(inputs * width, outputs, 3, generator=generator)
        self.bn2 = ConditionalNorm(outputs * width, condition, generator=generator)
        self.conv2 = Convolution(outputs * width, outputs, 3, generator=generator)
        self.conv_sc = Convolution(inputs * width, outputs, 1, generator=generator)
        self.feature, self.feature_after = (FeatureInput(width == 2) for _ in range(2))

    def forward(self, x: Tensor, condition: Tensor, feature: Tensor, standing: bool) -> Tensor:
        """(B, outputs, 2H, 2W) from `x` (B, inputs × width, H, W) and the first feature (B or 1, outputs, 2H, 2W)."""
        out: Tensor = self.conv1(doubled(F.relu(self.bn1(x, condition, standing))))
        out = self.conv2(F.relu(self.bn2(self.feature(out, feature), condition, standing)))
        # A 1×1 convolution and a doubling by nearest neighbours may change places; this one is a quarter of the work.
        shortcut: Tensor = doubled(self.conv_sc(x))
        return out + shortcut
