"""The inference forms of StyleGAN v1 and PGGAN: constants folded, channels last, doubling and convolution in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..folded import FoldedLinear, FoldedModule, laid_out, laid_out_by_input
from ..layers import EqualizedLinear
from ..operators import LEAKY_SLOPE, pixel_norm
from ..strips import Workspace
from .base import Features
from .progressive import PictureOutput, fused_kernel, normalised_by_channel

if TYPE_CHECKING:
    from .pggan import Layer, PGGANPrior
    from .stylegan import StyleGANPrior, StyleLayer


class FoldedConvolution(FoldedModule):
    """A 3×3 convolution, of the doubled size if `up`: then one transposed convolution, with 16 products for 36."""

    weight: Tensor

    def __init__(self, weight: Tensor, dtype: torch.dtype, *, up: bool, turned: bool = False) -> None:
        super().__init__(dtype)
        self.up = up
        if up:
            kernel = fused_kernel(weight if turned else weight.flip((2, 3)))
            weight = laid_out_by_input(kernel.transpose(0, 1).float(), dtype)
        else:
            weight = laid_out(weight.float(), dtype)
        self.keep("weight", weight, computing=True)

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """(B, outputs, H, W) or twice that size, from `x` (B, inputs, H, W)."""
        if self.up:
            return F.conv_transpose2d(x, self.weight, bias, stride=2, padding=1)
        return F.conv2d(x, self.weight, bias, padding=1)


class FoldedPicture(FoldedModule):
    """A `PictureOutput`; its sums are float32."""

    weight: Tensor
    bias: Tensor

    def __init__(self, plain: PictureOutput, dtype: torch.dtype) -> None:
        super().__init__(dtype)
        self.keep("weight", laid_out(plain.weight.detach().float() * plain.scale, dtype), computing=True)
        self.keep("bias", plain.bias.detach().float().view(1, -1, 1, 1).clone())

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W), float32, from `x` (B, inputs, H, W)."""
        return F.conv2d(x, self.weight).float() + self.bias


class FoldedStyleLayer(FoldedModule):
    """A `StyleLayer` after the first convolution or constant."""

    start: Tensor
    kernel: Tensor
    bias: Tensor
    noise: Tensor
    noise_weight: Tensor
    feature_bias: Tensor
    feature_weight: Tensor

    def __init__(self, plain: StyleLayer, dtype: torch.dtype) -> None:
        super().__init__(dtype)
        self.channels = plain.apply_noise.weight.numel()
        self.concat, self.smoothed = plain.concat, plain.up
        self.style = FoldedLinear(plain.style)
        bias = plain.bias.detach().float()
        self.conv: FoldedConvolution | None = None
        if plain.starts:
            self.keep("start", plain.const.detach().to(dtype).clone(), computing=True)
        else:
            weight = plain.weight.detach() * plain.scale
            self.conv = FoldedConvolution(weight, dtype, up=plain.up, turned=plain.fused)
        if plain.up:
            self.keep("kernel", plain.blur.kernel.detach().to(dtype), computing=True)
        self.keep("bias", bias[: self.channels].to(dtype).clone(), computing=True)
        self.keep("noise", plain.apply_noise.noise.detach().to(dtype), computing=True)
        self.keep("noise_weight", plain.apply_noise.weight.detach().to(dtype).view(1, -1, 1, 1), computing=True)
        if self.concat:
            feature_bias = bias[self.channels :].to(dtype).view(1, -1, 1, 1)
            self.keep("feature_bias", feature_bias.clone(), computing=True)
            self.keep("feature_weight", plain.feature.weight.detach().to(dtype), computing=True)

    def forward(self, x: Tensor, latent: Tensor, feature: Tensor, workspace: Workspace, name: str) -> Tensor:
        """(B, width, H, W), concatenated in the buffer `name`, of `x` (B, inputs, H or H/2, …) and `latent`."""
        size = feature.shape[-1]
        noise = self.noise[:, :, :size, :size] if self.concat else feature
        if self.conv is None:
            # In the plain form's own order: what is left of a nearly constant picture depends on each rounding.
            rows = self.start[:, :, :size, :size].expand(len(latent), -1, -1, -1) + self.noise_weight * noise
            rows = rows + self.bias.view(1, -1, 1, 1)
        else:
            rows = self._convolved(self.conv, x).addcmul_(noise, self.noise_weight)
        scale, shift = self.style(latent).chunk(2, dim=1)
        count = self.channels
        rows = styled(F.leaky_relu_(rows, LEAKY_SLOPE), scale[:, :count], shift[:, :count])
        if not self.concat:
            return rows
        out = workspace.take(name, (len(latent), 2 * count, size, size), self.dtype, rows.device)
        out[:, :count] = rows
        given = F.leaky_relu_(torch.addcmul(self.feature_bias, feature, self.feature_weight), LEAKY_SLOPE)
        out[:, count:] = styled(given.expand(len(latent), -1, -1, -1), scale[:, count:], shift[:, count:])
        return out

    def _convolved(self, conv: FoldedConvolution, x: Tensor) -> Tensor:
        if not self.smoothed:
            rows: Tensor = conv(x, self.bias)
            return rows
        return F.conv2d(conv(x, None), self.kernel, self.bias, padding=1, groups=self.channels)


def styled(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """`x` (B, C, H, W), normalised in each channel of each picture, times 1 + `scale` (B, C), plus `shift` (B, C)."""
    if len(x) == 1 and x.shape[-1] > 4:
        # Over a batch of one the batch norm is the instance norm, and one pass.
        return F.batch_norm(x, None, None, (1 + scale[0]).to(x.dtype), shift[0].to(x.dtype), training=True, eps=1e-8)
    return normalised_by_channel(x, scale, shift)


class PreparedStyleGAN(FoldedModule):
    """What `StyleGANPrior.forward` gives, in float32, computed in `dtype`."""

    def __init__(self, plain: StyleGANPrior, dtype: torch.dtype) -> None:
        super().__init__(dtype)
        self.resolutions = plain.resolutions
        self.mapping = nn.ModuleList(
            FoldedLinear(m) for m in plain.mapping.children() if isinstance(m, EqualizedLinear)
        )
        self.layers = nn.ModuleList(FoldedStyleLayer(layer, dtype) for layer in plain.layers())
        self.picture = FoldedPicture(plain.last_output(), dtype)

    def forward(self, latent: Tensor, features: Features, workspace: Workspace) -> Tensor:
        """Pictures (B, 3, S, S) from the encoder's code `latent` (B, style_dim) and the features in `dtype`."""
        w = pixel_norm(latent)
        for dense in self.mapping:
            w = F.leaky_relu(dense(w), LEAKY_SLOPE)
        x = w
        given = [feature for r in self.resolutions for feature in features[r]]
        for index, (layer, feature) in enumerate(zip(self.layers, given, strict=True)):
            x = layer(x, w, feature, workspace, f"layer{index}")
        pictures: Tensor = self.picture(x)
        return pictures


class FoldedLayer(FoldedModule):
    """A `Layer` of PGGAN with the pixel norm that the next one begins with."""

    start: Tensor
    bias: Tensor
    feature_bias: Tensor
    feature_weight: Tensor

    def __init__(self, plain: Layer, dtype: torch.dtype) -> None:
        super().__init__(dtype)
        self.channels, self.concat = plain.weight.shape[0], plain.width == 2
        weight, bias = plain.weight.detach().float() * plain.scale, plain.bias.detach().float()
        self.conv: FoldedConvolution | None = None
        if plain.starts:
            # A 4×4 convolution of one padded place: a matrix, whose taps come in reverse.
            self.keep("start", weight.flip((2, 3)).clone())
        else:
            self.conv = FoldedConvolution(weight, dtype, up=plain.up)
        self.keep("bias", bias[: self.channels].to(dtype).clone(), computing=True)
        self.keep("feature_weight", plain.feature.weight.detach().to(dtype), computing=True)
        if self.concat:
            feature_bias = bias[self.channels :].to(dtype).view(1, -1, 1, 1)
            self.keep("feature_bias", feature_bias.clone(), computing=True)

    def forward(self, x: Tensor, feature: Tensor, workspace: Workspace, name: str) -> Tensor:
        """(B, width, H, W), normalised, in the workspace's buffer `name`; x: normalised (B, inputs, H or H/2, …)."""
        size = feature.shape[-1]
        if self.conv is None:
            start = torch.einsum("bi,oihw->bohw", x, self.start[:, :, :size, :size]).to(self.dtype)
            rows = start + self.bias.view(1, -1, 1, 1)
        else:
            rows = self.conv(x, self.bias)
        if not self.concat:
            return unit_(F.leaky_relu_(rows.addcmul_(feature, self.feature_weight), LEAKY_SLOPE))
        out = workspace.take(name, (len(x), 2 * self.channels, size, size), self.dtype, rows.device)
        out[:, : self.channels] = unit_(F.leaky_relu_(rows, LEAKY_SLOPE))
        given = torch.addcmul(self.feature_bias, feature, self.feature_weight)
        out[:, self.channels :] = unit_(F.leaky_relu_(given, LEAKY_SLOPE))
        return out


def unit_(x: Tensor) -> Tensor:
    """`x` (B, C, H, W) itself, its mean square over the channels brought to one."""
    square = torch.linalg.vector_norm(x, dim=1, keepdim=True, dtype=torch.float32).square() / x.shape[1]
    return x.mul_(torch.rsqrt(square + 1e-8).to(x.dtype))


class PreparedPGGAN(FoldedModule):
    """What `PGGANPrior.forward` gives, in float32, computed in `dtype`."""

    def __init__(self, plain: PGGANPrior, dtype: torch.dtype) -> None:
        super().__init__(dtype)
        self.resolutions = plain.resolutions
        self.layers = nn.ModuleList(FoldedLayer(layer, dtype) for layer in plain.layers())
        self.picture = FoldedPicture(plain.last_output(), dtype)

    def forward(self, latent: Tensor, features: Features, workspace: Workspace) -> Tensor:
        """Pictures (B, 3, S, S) from the encoder's code `latent` (B, style_dim) and the features in `dtype`."""
        x = pixel_norm(latent)
        given = [feature for r in self.resolutions for feature in features[r]]
        for index, (layer, feature) in enumerate(zip(self.layers, given, strict=True)):
            x = layer(x, feature, workspace, f"layer{index}")
        pictures: Tensor = self.picture(x)
        return pictures
