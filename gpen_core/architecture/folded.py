"""The layers of GPEN in their inference form: constants folded, channels last, weights in the computing precision.

Each is built from its plain form in `layers`, which its result equals up to rounding. Leaky ReLU is homogeneous, so its
gain √2 goes into what stands before it: weights or demodulation, and biases.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .layers import ConvLayer, EqualizedConv2d, EqualizedLinear, ModulatedConv2d, StyledConv, ToRGB
from .operators import LEAKY_SLOPE, blur_kernel
from .strips import Workspace, filtered_rows, strips

GAIN = math.sqrt(2)

Module = TypeVar("Module", bound="FoldedModule")


def laid_out(weight: Tensor, dtype: torch.dtype, scale: float = 1.0) -> Tensor:
    """A copy of `weight` (A, B, k, k) times `scale`, channels last, in `dtype`."""
    if weight.dtype != dtype:
        weight = weight.to(dtype) if scale == 1.0 else weight * scale
        return weight.to(dtype).contiguous(memory_format=torch.channels_last)
    copy = torch.empty(weight.shape, dtype=dtype, device=weight.device, memory_format=torch.channels_last)
    if scale == 1.0:
        return copy.copy_(weight)
    return torch.mul(weight, scale, out=copy)


def laid_out_by_input(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy of `weight` (O, I, k, k) as a transposed convolution takes it: (I, O, k, k), channels last, in `dtype`."""
    outputs, inputs, height, width = weight.shape
    # As the transpose of a matrix: three times as fast as through the four strides.
    matrix = weight.reshape(outputs, -1).to(dtype).t().clone(memory_format=torch.contiguous_format)
    return matrix.view(inputs, height, width, outputs).permute(0, 3, 1, 2)


def blurring(channels: int, gain: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The binomial low-pass (channels, 1, 4, 4) of sum `gain` as a depthwise convolution's weight."""
    return blur_kernel(gain).to(device, dtype).repeat(channels, 1, 1, 1)


def blurred(x: Tensor, kernel: Tensor, rows: int, columns: int) -> Tensor:
    """`x` through `kernel`, zero-padded by so many rows and columns on each side."""
    return F.conv2d(x, kernel, padding=(rows, columns), groups=kernel.shape[0])


class FoldedModule(nn.Module):
    """A layer, or layers, of the inference form that compute in `dtype`."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.computing: set[str] = set()

    def keep(self, name: str, tensor: Tensor, *, computing: bool = False) -> None:
        """Registers a buffer; `computing`: one that is in `dtype`."""
        self.register_buffer(name, tensor)
        if computing:
            self.computing.add(name)

    def cast(self: Module, dtype: torch.dtype) -> Module:
        """The same layers computing in `dtype`; they share the tensors that do not change."""
        twin = copy.copy(self)
        # A shallow copy shares the tables of buffers and submodules; the twin needs its own.
        twin.__dict__["_buffers"] = {
            name: buffer.to(dtype) if buffer is not None and name in self.computing else buffer
            for name, buffer in self._buffers.items()
        }
        twin.__dict__["_modules"] = {name: _cast(child, dtype) for name, child in self.named_children()}
        twin.dtype = dtype
        return twin


def _cast(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    if isinstance(module, nn.ModuleList):
        return nn.ModuleList(_cast(child, dtype) for child in module)
    return module.cast(dtype) if isinstance(module, FoldedModule) else module


class FoldedLinear(nn.Module):
    """An `EqualizedLinear` in float32 whatever the rest computes in; `scale` multiplies its result."""

    weight: Tensor
    bias: Tensor

    def __init__(self, plain: EqualizedLinear, scale: float = 1.0) -> None:
        super().__init__()
        gain = scale * (GAIN if plain.activate else 1.0)
        self.register_buffer("weight", plain.weight.detach().float() * (plain.scale * gain))
        self.register_buffer("bias", plain.bias.detach().float() * (plain.rate * gain))
        self.activate = plain.activate

    def forward(self, x: Tensor) -> Tensor:
        """(B, outputs) from `x` (B, inputs), both float32."""
        out = F.linear(x, self.weight, self.bias)
        return F.leaky_relu_(out, LEAKY_SLOPE) if self.activate else out


class FoldedConvLayer(FoldedModule):
    """An encoder's `ConvLayer`: convolution, or blur and convolution of stride 2; bias and activation."""

    weight: Tensor
    bias: Tensor
    kernel: Tensor

    def __init__(self, plain: ConvLayer, dtype: torch.dtype) -> None:
        super().__init__(dtype)
        convolution = next(layer for layer in plain if isinstance(layer, EqualizedConv2d))
        bias = plain[-1].get_parameter("bias").detach()
        self.keep("weight", laid_out(convolution.weight.detach(), dtype, convolution.scale * GAIN), computing=True)
        self.keep("bias", (bias * GAIN).to(dtype), computing=True)
        self.down = convolution.stride == 2
        if self.down:
            inputs = convolution.weight.shape[1]
            self.keep("kernel", blurring(inputs, 1.0, dtype, self.weight.device), computing=True)

    def forward(self, x: Tensor, workspace: Workspace, name: str) -> Tensor:
        """(B, outputs, H, W), or half that size, in the workspace's buffer `name`; from `x` (B, inputs, H, W)."""
        outputs, inputs = self.weight.shape[:2]
        size = x.shape[-1] // 2 if self.down else x.shape[-1]
        out = workspace.take(name, (x.shape[0], outputs, size, size), self.weight.dtype, x.device)
        row_bytes = max(inputs * (4 if self.down else 1), outputs) * size * out.element_size()
        for start, stop in strips(size, row_bytes, x.device):
            if not self.down:
                rows = F.conv2d(x[:, :, start:stop], self.weight, self.bias)
            else:
                smooth = filtered_rows(x, 2 * start, 2 * stop + 1, taps=4, padding=2, filter_=self._blurred)
                rows = F.conv2d(smooth, self.weight, self.bias, stride=2)
            out[:, :, start:stop].copy_(F.leaky_relu_(rows, LEAKY_SLOPE))
        return out

    def _blurred(self, part: Tensor, rows: int) -> Tensor:
        return blurred(part, self.kernel, rows, 2)


class Modulation:
    """What a style makes of a modulated convolution for one call: weights, and scales where they are not in them."""

    def __init__(self, weight: Tensor, inner: Tensor | None, outer: Tensor | None) -> None:
        self.weight = weight
        self.inner = inner
        self.outer = outer

    def scaled(self, x: Tensor) -> Tensor:
        """`x` with its channels scaled by the style, unless the weights are."""
        return x if self.inner is None else x * self.inner


class FoldedModulatedConv2d(FoldedModule):
    """A `ModulatedConv2d` with demodulation and a 3×3 kernel.

    For a single face at a large size the style goes into the weights, kept in float32 for that; otherwise it scales
    the activations, so that one set of weights serves the batch, and demodulation scales the result.
    """

    weight: Tensor
    power: Tensor
    kernel: Tensor

    def __init__(self, plain: ModulatedConv2d, dtype: torch.dtype, size: int) -> None:
        super().__init__(dtype)
        weight = plain.weight.detach()[0]
        self.up = plain.up
        self.modulation = FoldedLinear(plain.modulation, plain.scale)
        self.folds = weight[:, :, 0, 0].numel() * 9 < weight.shape[1] * size * size
        # A transposed convolution takes its weights by input channel.
        orient = laid_out_by_input if self.up else laid_out
        self.keep("weight", orient(weight, torch.float32 if self.folds else dtype), computing=not self.folds)
        if self.up:
            self.keep("kernel", blurring(weight.shape[0], 4.0, dtype, weight.device), computing=True)
        self.keep("power", torch.linalg.vector_norm(weight.float(), dim=(2, 3)).square().t().contiguous())

    def modulated(self, latent: Tensor) -> Modulation:
        """For the style latents `latent` (B, style_dim), float32."""
        style = self.modulation(latent)
        norm = torch.rsqrt(style.square() @ self.power + 1e-8) * GAIN
        if self.folds and len(latent) == 1:
            scale = torch.outer(style[0], norm[0]) if self.up else torch.outer(norm[0], style[0])
            return Modulation((self.weight * scale[:, :, None, None]).to(self.dtype), None, None)
        inner, outer = (v.to(self.dtype)[:, :, None, None] for v in (style, norm))
        return Modulation(self.weight.to(self.dtype), inner, outer)

    def rows(self, x: Tensor, start: int, stop: int, modulation: Modulation) -> Tensor:
        """Rows [start, stop) of the convolution of `x` (B, I, H, W), or of its doubled size (B, O, 2H, 2W)."""
        if not self.up:

            def convolved(part: Tensor, rows: int) -> Tensor:
                return F.conv2d(modulation.scaled(part), modulation.weight, padding=(rows, 1))

            return filtered_rows(x, start, stop, taps=3, padding=1, filter_=convolved)
        # Row t of the transposed convolution comes from rows t/2 − 1 … t/2 of x, row j of the blur from j − 1 … j + 2.
        first, last = max(0, (start - 2) // 2), min(x.shape[2], (stop + 1) // 2 + 1)
        wide = F.conv_transpose2d(modulation.scaled(x[:, :, first:last]), modulation.weight, stride=2)

        def smoothed(part: Tensor, rows: int) -> Tensor:
            return blurred(part, self.kernel, rows, 1)

        return filtered_rows(wide, start - 2 * first, stop - 2 * first, taps=4, padding=1, filter_=smoothed)


class FoldedStyledConv(FoldedModule):
    """A `StyledConv`: modulated convolution, feature input, bias and activation. size: of its input."""

    bias: Tensor
    feature_bias: Tensor
    feature_gain: Tensor

    def __init__(self, plain: StyledConv, dtype: torch.dtype, size: int) -> None:
        super().__init__(dtype)
        self.conv = FoldedModulatedConv2d(plain.conv, dtype, size)
        self.channels = plain.conv.weight.shape[1]
        self.concat = plain.noise.concat
        self.one_pass: Callable[[Tensor, Tensor, Tensor | None, Tensor], None] = activate
        bias = (plain.activate.bias.detach() * GAIN).to(dtype)[None, :, None, None]
        self.keep("bias", bias[:, : self.channels].clone(), computing=True)
        self.keep("feature_bias", bias[:, self.channels :].clone(), computing=True)
        self.keep("feature_gain", (plain.noise.weight.detach() * GAIN).to(dtype), computing=True)

    @property
    def width(self) -> int:
        """Channels of the result."""
        return self.channels * (2 if self.concat else 1)

    def rows(self, x: Tensor, start: int, stop: int, modulation: Modulation, feature: Tensor, out: Tensor) -> None:
        """Writes rows [start, stop) of the layer's result for `x` into `out` (B, width, stop − start, W)."""
        rows = self.conv.rows(x, start, stop, modulation)
        # One noise set serves the whole batch.
        given, scale = feature[:, :, start:stop].expand(len(x), -1, -1, -1), modulation.outer
        if self.concat:
            self.one_pass(out[:, self.channels :], given, self.feature_gain, self.feature_bias)
        else:
            rows, scale = (rows if scale is None else rows * scale) + given * self.feature_gain, None
        self.one_pass(out[:, : self.channels], rows, scale, self.bias)


def activate(out: Tensor, x: Tensor, scale: Tensor | None, bias: Tensor) -> None:
    """Writes leaky ReLU of `x` · scale + bias into `out`, which may be a part of a larger tensor."""
    if torch.compiler.is_compiling():
        # One expression, for the compiler to make one pass of.
        out.copy_(F.leaky_relu((x if scale is None else x * scale) + bias, LEAKY_SLOPE))
        return
    if scale is None:
        torch.add(x, bias, out=out)
    else:
        torch.addcmul(bias, x, scale, out=out)
    F.leaky_relu_(out, LEAKY_SLOPE)


class FoldedToRGB(FoldedModule):
    """A `ToRGB` without its upsampling; its sums are float32."""

    weight: Tensor
    bias: Tensor

    def __init__(self, plain: ToRGB, dtype: torch.dtype) -> None:
        super().__init__(dtype)
        self.modulation = FoldedLinear(plain.conv.modulation, plain.conv.scale)
        self.keep("weight", plain.conv.weight.detach()[0, :, :, 0, 0].float().clone())
        self.keep("bias", plain.bias.detach().float().clone())

    def modulated(self, latent: Tensor) -> Tensor:
        """Weights (B, 3, I) for the style latents `latent` (B, style_dim), float32."""
        scale: Tensor = self.modulation(latent)
        return (self.weight * scale[:, None]).to(self.dtype)

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        """(B, 3, H, W), float32, from `x` (B, I, H, W) and its modulated `weight` (B, 3, I)."""
        batch, inputs, height, width = x.shape
        if batch == 1:
            # As a convolution it would split its sums among the cores, and end in other last bits with other cores.
            rgb = torch.mm(weight[0], x[0].permute(1, 2, 0).reshape(height * width, inputs).T)
            return rgb.view(1, 3, height, width).to(torch.float32, memory_format=torch.channels_last) + self.bias
        pixels = x.permute(0, 2, 3, 1).reshape(batch, height * width, inputs)
        rgb = torch.bmm(pixels, weight.transpose(1, 2)).view(batch, height, width, 3).permute(0, 3, 1, 2)
        return rgb.float() + self.bias
