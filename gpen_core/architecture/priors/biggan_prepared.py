"""BigGAN's inference form: norms folded to one pass, channels last, doubling and convolution in one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..folded import FoldedModule, laid_out
from ..strips import Workspace
from .base import Features
from .progressive import doubled
from .progressive_prepared import FoldedConvolution

if TYPE_CHECKING:
    from .biggan import BigGANPrior
    from .biggan_layers import Attention, Block, ConditionalNorm, OutputNorm

EPSILON = 1e-5


class FoldedNorm(FoldedModule):
    """A `ConditionalNorm` or `OutputNorm` by its standing statistics, and the ReLU that follows."""

    gain: Tensor
    offset: Tensor
    gain_weight: Tensor
    offset_weight: Tensor

    def __init__(self, plain: ConditionalNorm | OutputNorm, dtype: torch.dtype) -> None:
        super().__init__(dtype)
        scale = torch.rsqrt(plain.stored_var.float() + EPSILON)
        self.conditional = isinstance(plain.gain, nn.Module)
        if isinstance(plain.gain, nn.Module) and isinstance(plain.bias, nn.Module):
            gain, bias = (part.get_parameter("weight").detach().float() for part in (plain.gain, plain.bias))
            self.keep("gain_weight", gain * scale[:, None])
            self.keep("offset_weight", bias - self.gain_weight * plain.stored_mean.float()[:, None])
            self.keep("gain", scale)
            self.keep("offset", -plain.stored_mean.float() * scale)
        elif isinstance(plain.gain, Tensor) and isinstance(plain.bias, Tensor):
            self.keep("gain", plain.gain.detach().float() * scale)
            self.keep("offset", plain.bias.detach().float() - plain.stored_mean.float() * self.gain)

    def factors(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """(gains, offsets), each (B or 1, C, 1, 1) in `dtype`, of a condition (B, …), float32."""
        gain, offset = self.gain[None], self.offset[None]
        if self.conditional:
            gain, offset = gain + condition @ self.gain_weight.t(), offset + condition @ self.offset_weight.t()
        return gain.to(self.dtype)[:, :, None, None], offset.to(self.dtype)[:, :, None, None]


def rectified(x: Tensor, factors: tuple[Tensor, Tensor], out: Tensor | None = None) -> Tensor:
    """ReLU of `x` (B, C, H, W) times gains plus offsets."""
    gain, offset = factors
    return F.relu_(torch.addcmul(offset, x, gain) if out is None else torch.addcmul(offset, x, gain, out=out))


class FoldedAttention(FoldedModule):
    """An `Attention`."""

    def __init__(self, plain: Attention, dtype: torch.dtype) -> None:
        super().__init__(dtype)
        for name in ("theta", "phi", "g", "o"):
            weight = plain.get_submodule(name).get_parameter("weight").detach().float()
            self.keep(name, laid_out(weight * plain.gamma.detach() if name == "o" else weight, dtype), computing=True)

    def forward(self, x: Tensor) -> Tensor:
        """The shape of `x` (B, C, H, W)."""
        theta, phi, g, o = (self.get_buffer(name) for name in ("theta", "phi", "g", "o"))
        queries = F.conv2d(x, theta).flatten(2).transpose(1, 2)
        keys, values = (F.max_pool2d(F.conv2d(x, weight), 2).flatten(2).transpose(1, 2) for weight in (phi, g))
        seen = F.scaled_dot_product_attention(queries, keys, values, scale=1.0)
        return x + F.conv2d(seen.transpose(1, 2).reshape(len(x), -1, *x.shape[2:]), o)


class FoldedBlock(FoldedModule):
    """A `Block` with the attention and the feature that follow it."""

    bias1: Tensor
    bias2: Tensor
    shortcut: Tensor
    weights: Tensor

    def __init__(self, plain: Block, attention: Attention | None, dtype: torch.dtype) -> None:
        super().__init__(dtype)
        self.bn1, self.bn2 = FoldedNorm(plain.bn1, dtype), FoldedNorm(plain.bn2, dtype)
        self.conv1 = FoldedConvolution(plain.conv1.weight.detach(), dtype, up=True)
        self.conv2 = FoldedConvolution(plain.conv2.weight.detach(), dtype, up=False)
        self.attention = None if attention is None else FoldedAttention(attention, dtype)
        self.concat = plain.feature.concat
        self.channels = plain.conv2.weight.shape[0]
        biases = [layer.get_parameter("bias").detach().to(dtype) for layer in (plain.conv1, plain.conv2, plain.conv_sc)]
        self.keep("bias1", biases[0].clone(), computing=True)
        self.keep("bias2", biases[1] + biases[2], computing=True)
        self.keep("shortcut", laid_out(plain.conv_sc.weight.detach().float(), dtype), computing=True)
        both = torch.cat([plain.feature.weight.detach(), plain.feature_after.weight.detach()])
        self.keep("weights", both.to(dtype), computing=True)

    def forward(
        self, x: Tensor, condition: Tensor, between: Tensor, after: Tensor, workspace: Workspace, name: str
    ) -> Tensor:
        """(B, width, 2H, 2W) in the workspace's buffer `name`, from `x` (B, inputs, H, W) and the two features."""
        middle = self.conv1(rectified(x, self.bn1.factors(condition)), self.bias1)
        gain, offset = self.bn2.factors(condition)
        size, own = middle.shape[-1], slice(0, self.channels)
        room = (len(x), self.channels * (2 if self.concat else 1), size, size)
        if self.concat:
            joined = workspace.take(f"{name}_middle", room, self.dtype, x.device)
            other = slice(self.channels, room[1])
            rectified(middle, (gain[:, own], offset[:, own]), joined[:, own])
            rectified(between, (gain[:, other] * self.weights[0], offset[:, other]), joined[:, other])
        else:
            joined = rectified(middle.addcmul_(between, self.weights[0]), (gain, offset))
        out: Tensor = self.conv2(joined, self.bias2)
        out += doubled(F.conv2d(x, self.shortcut))
        if self.attention is not None:
            out = self.attention(out)
        if not self.concat:
            return out.addcmul_(after, self.weights[1])
        whole = workspace.take(name, room, self.dtype, x.device)
        whole[:, own] = out
        whole[:, self.channels :] = after * self.weights[1]
        return whole


class PreparedBigGAN(FoldedModule):
    """What `BigGANPrior.forward` gives, in float32, computed in `dtype`."""

    linear_weight: Tensor
    linear_bias: Tensor
    embedding: Tensor
    feature_weight: Tensor
    picture: Tensor
    picture_bias: Tensor

    def __init__(self, plain: BigGANPrior, dtype: torch.dtype) -> None:
        super().__init__(dtype)
        self.resolutions, self.part = plain.resolutions, plain.part
        self.hierarchical, self.concat = plain.options.hierarchical, plain.options.concat
        self.keep("linear_weight", plain.linear.weight.detach().float())
        self.keep("linear_bias", plain.linear.get_parameter("bias").detach().float())
        self.keep("embedding", plain.shared.get_parameter("weight").detach().float().mean(dim=0, keepdim=True))
        self.keep("feature_weight", plain.feature.weight.detach().to(dtype), computing=True)
        self.blocks = nn.ModuleList(FoldedBlock(*plain.parts(i), dtype) for i in range(len(plain.blocks)))
        norm, picture = plain.ending()
        self.norm = FoldedNorm(norm, dtype)
        self.keep("picture", laid_out(picture.weight.detach().float(), dtype), computing=True)
        self.keep("picture_bias", picture.get_parameter("bias").detach().float().view(1, -1, 1, 1).clone())

    def forward(self, latent: Tensor, features: Features, workspace: Workspace) -> Tensor:
        """Pictures (B, 3, S, S) from the encoder's code `latent` (B, style_dim) and the features in `dtype`."""
        first, *rest = torch.split(latent, self.part, dim=1)
        if not self.hierarchical:
            rest = [latent[:, :0]] * len(self.blocks)
        size = features[4][0].shape[-1]
        start = F.linear(first, self.linear_weight, self.linear_bias).view(len(latent), -1, 4, 4)
        x = start[:, :, :size, :size].to(self.dtype).contiguous(memory_format=torch.channels_last)
        feature = features[4][0] * self.feature_weight
        x = torch.cat([x, feature.expand_as(x)], dim=1) if self.concat else x + feature
        embedding = self.embedding.expand(len(latent), -1)
        for resolution, block, part in zip(self.resolutions[1:], self.blocks, rest, strict=True):
            between, after = features[resolution]
            x = block(x, torch.cat([embedding, part], dim=1), between, after, workspace, f"block{resolution}")
        out = F.conv2d(rectified(x, self.norm.factors(latent)), self.picture, padding=1)
        return torch.tanh(out.float() + self.picture_bias)
