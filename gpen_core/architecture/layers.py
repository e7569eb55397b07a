"""The layers of StyleGAN2 and GPEN, with equalised learning rate and the parameter names of the official files."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from .operators import at_least_float32, blur, blur_kernel, leaky_relu, modulated_convolution, pixel_norm, upsample


def normal(*shape: int, generator: Generator | None = None, scale: float = 1.0) -> nn.Parameter:
    """A parameter of Gaussian numbers with deviation `scale`, drawn from `generator` (None: torch's own)."""
    values = torch.empty(*shape)
    # Drawing on the meta device draws nothing, but makes torch load its compiler: two seconds.
    return nn.Parameter(values if values.is_meta else values.normal_(generator=generator).mul_(scale))


class PixelNorm(nn.Module):
    """Brings the mean square over channels to one."""

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, C), normalised."""
        return pixel_norm(x)


class EqualizedLinear(nn.Module):
    """A linear layer whose weights are scaled when used. rate: their learning-rate multiplier; gain: of the weights."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        activate: bool = False,
        bias: float = 0.0,
        rate: float = 1.0,
        gain: float = 1.0,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.weight = normal(outputs, inputs, generator=generator, scale=1 / rate)
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.rate = rate
        self.scale = gain * rate / math.sqrt(inputs)
        self.activate = activate

    def forward(self, x: Tensor) -> Tensor:
        """(B, outputs) from `x` (B, inputs)."""
        weight, bias = (self.weight * self.scale).to(x.dtype), self.bias * self.rate
        if self.activate:
            return leaky_relu(F.linear(x, weight), bias)
        return F.linear(x, weight, bias.to(x.dtype))


class EqualizedConv2d(nn.Module):
    """A convolution without bias whose weights are scaled by 1/√fan-in when used."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        *,
        stride: int = 1,
        padding: int = 0,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.weight = normal(outputs, inputs, size, size, generator=generator)
        self.scale = 1 / math.sqrt(inputs * size**2)
        self.stride = stride
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """(B, outputs, H', W') from `x` (B, inputs, H, W)."""
        return F.conv2d(x, (self.weight * self.scale).to(x.dtype), stride=self.stride, padding=self.padding)


class BiasedLeakyReLU(nn.Module):
    """Adds a bias for each channel, then leaky ReLU(0.2)·√2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """The shape of `x` (B, C, …)."""
        return leaky_relu(x, self.bias)


class Blur(nn.Module):
    """The binomial low-pass [1, 3, 3, 1]² with zero padding (before, after)."""

    kernel: Tensor

    def __init__(self, padding: tuple[int, int], gain: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("kernel", blur_kernel(gain))
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H + before + after − 3, …)."""
        return blur(x, self.kernel, self.padding)


class ConvLayer(nn.Sequential):
    """[blur,] convolution [, bias and activation] of encoder and discriminator; halves the size if `down`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        *,
        down: bool = False,
        activate: bool = True,
        generator: Generator | None = None,
    ) -> None:
        layers: list[nn.Module] = []
        if down:
            pad = 4 - 2 + size - 1
            layers.append(Blur(((pad + 1) // 2, pad // 2)))
        layers.append(
            EqualizedConv2d(
                inputs, outputs, size, stride=2 if down else 1, padding=0 if down else size // 2, generator=generator
            )
        )
        if activate:
            layers.append(BiasedLeakyReLU(outputs))
        super().__init__(*layers)


class ModulatedConv2d(nn.Module):
    """A convolution modulated by a style (StyleGAN2 §2.2); doubles the size if `up`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        style_dim: int,
        *,
        demodulate: bool = True,
        up: bool = False,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.weight = normal(1, outputs, inputs, size, size, generator=generator)
        self.modulation = EqualizedLinear(style_dim, inputs, bias=1.0, generator=generator)
        if up:
            self.blur = Blur((1, 1), gain=4.0)
        self.up = up
        self.demodulate = demodulate
        self.scale = 1 / math.sqrt(inputs * size**2)

    def forward(self, x: Tensor, latent: Tensor) -> Tensor:
        """(B, outputs, H, W) or twice that size, from `x` (B, inputs, H, W) and the style latent (B, style_dim)."""
        # Demodulation squares the style: kept out of a lower precision that autocast would choose.
        with torch.autocast(x.device.type, enabled=False):
            style = self.modulation(latent.to(at_least_float32(latent.dtype)))
        return modulated_convolution(
            x,
            self.weight[0] * self.scale,
            style,
            demodulate=self.demodulate,
            upsampling_kernel=self.blur.kernel if self.up else None,
        )


class FeatureInput(nn.Module):
    """Where a feature (in the prior alone: noise) enters a block: concatenated (GPEN) or added, times one scalar."""

    def __init__(self, concat: bool) -> None:
        super().__init__()
        self.concat = concat
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, feature: Tensor) -> Tensor:
        """(B, 2C, H, W) when concatenated, else (B, C, H, W). x, feature: (B, C, H, W); feature may have batch 1."""
        scaled = self.weight.to(x.dtype) * feature.to(x.dtype)
        if self.concat:
            return torch.cat([x, scaled.expand(x.shape[0], -1, -1, -1)], dim=1)
        return x + scaled


class StyledConv(nn.Module):
    """Modulated convolution, feature input, bias and activation: half a block of the prior."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        style_dim: int,
        *,
        concat: bool,
        up: bool = False,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(inputs, outputs, 3, style_dim, up=up, generator=generator)
        self.noise = FeatureInput(concat)
        self.activate = BiasedLeakyReLU(outputs * (2 if concat else 1))

    def forward(self, x: Tensor, latent: Tensor, feature: Tensor) -> Tensor:
        """(B, outputs × (2 if concat), H, W) from `x`, the style latent (B, style_dim) and the feature of that size."""
        out: Tensor = self.activate(self.noise(self.conv(x, latent), feature))
        return out


class Upsample(nn.Module):
    """Doubles a picture's size through the binomial low-pass."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", blur_kernel(4.0))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, 2H, 2W)."""
        return upsample(x, self.kernel)


class ToRGB(nn.Module):
    """A block's contribution to the picture, on top of the smaller picture brought to its size."""

    def __init__(self, inputs: int, style_dim: int, *, up: bool = True, generator: Generator | None = None) -> None:
        super().__init__()
        if up:
            self.upsample = Upsample()
        self.conv = ModulatedConv2d(inputs, 3, 1, style_dim, demodulate=False, generator=generator)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, latent: Tensor, picture: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) in float32 at least, from `x` (B, inputs, H, W) and the picture so far (B, 3, H/2, W/2)."""
        out: Tensor = self.conv(x, latent)
        # The sum over ten resolutions is kept in float32: the picture is what everybody sees.
        out = out.to(at_least_float32(out.dtype)) + self.bias
        if picture is None:
            return out
        raised: Tensor = self.upsample(picture)
        return out + raised


class ConstantInput(nn.Module):
    """The learnt 4×4 start of the prior."""

    def __init__(self, channels: int, *, generator: Generator | None = None) -> None:
        super().__init__()
        self.input = normal(1, channels, 4, 4, generator=generator)

    def forward(self, batch: int) -> Tensor:
        """(batch, channels, 4, 4)."""
        return self.input.expand(batch, -1, -1, -1)
