"""EfficientNet-Lite0 (after Tan and Le 2019) as frozen eyes: five feature maps, no classifier."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import TrainingError

# Of each stage: blocks, kernel, stride of the first block, expansion, channels.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_NORM_EPSILON = 1e-3


class _Convolution(nn.Module):
    """A convolution, padded as TensorFlow's "same", with its batch norm folded in; held as buffers, never trained."""

    weight: Tensor
    bias: Tensor

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1, *, groups: int = 1, active: bool) -> None:
        super().__init__()
        self.size, self.stride, self.groups, self.active = size, stride, groups, active
        self.register_buffer("weight", torch.zeros(outputs, inputs // groups, size, size), persistent=False)
        self.register_buffer("bias", torch.zeros(outputs), persistent=False)

    def take(self, tensors: Mapping[str, Tensor], name: str, norm: str) -> None:
        """Fills itself from the convolution `name` and the batch norm `norm` of a file."""
        scale = tensors[f"{norm}.weight"] / (tensors[f"{norm}.running_var"] + _NORM_EPSILON).sqrt()
        self.weight.copy_(tensors[f"{name}.weight"] * scale[:, None, None, None])
        self.bias.copy_(tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * scale)

    def forward(self, x: Tensor) -> Tensor:
        """(B, outputs, ⌈H / stride⌉, ⌈W / stride⌉)."""
        pads = [
            max((math.ceil(n / self.stride) - 1) * self.stride + self.size - n, 0) for n in (x.shape[3], x.shape[2])
        ]
        if any(pads):
            x = F.pad(x, [side for pad in pads for side in (pad // 2, pad - pad // 2)])
        x = F.conv2d(x, self.weight, self.bias, self.stride, 0, 1, self.groups)
        return F.relu6(x) if self.active else x


class _Block(nn.Module):
    """An inverted bottleneck: expanded, filtered in each channel, projected; added to its input where both fit."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inputs * expansion
        self.expand = _Convolution(inputs, middle, 1, active=True) if expansion > 1 else None
        self.filter = _Convolution(middle, middle, size, stride, groups=middle, active=True)
        self.project = _Convolution(middle, outputs, 1, active=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, outputs, H / stride, W / stride)."""
        out: Tensor = self.project(self.filter(x if self.expand is None else self.expand(x)))
        return x + out if self.residual else out


class EfficientNetLite0(nn.Module):
    """(B, 3, H, W) in [-1, 1] → the last features (B, channels[i], …) at strides 2, 4, 8, 16 and 32.

    tensors: under the names of the PyTorch port of Google's weights. It has no parameters and an empty state dict: it
    judges, and is never part of what is trained or saved.
    Raises TrainingError where a tensor is missing or has another shape.
    """

    channels = (16, 24, 40, 112, 192)
    mean: Tensor
    deviation: Tensor

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION)[:, None, None], persistent=False)
        self.stem = _Convolution(3, 32, 3, 2, active=True)
        blocks: list[_Block] = []
        inputs = 32
        for count, size, stride, expansion, outputs in _STAGES:
            for turn in range(count):
                blocks.append(_Block(inputs, outputs, size, stride if turn == 0 else 1, expansion))
                inputs = outputs
        strides = [block.filter.stride for block in blocks]
        # The last block before each shrinking one, and nothing beyond the fifth depth.
        self._seen = [n for n, stride in enumerate(strides[1:]) if stride == 2] + [len(blocks) - 2]
        self.blocks = nn.ModuleList(blocks[: self._seen[-1] + 1])
        try:
            self._take(tensors)
        except (KeyError, RuntimeError) as error:
            raise TrainingError(f"these are not the weights of EfficientNet-Lite0: {error}") from error
        self.to(memory_format=torch.channels_last)

    def _take(self, tensors: Mapping[str, Tensor]) -> None:
        self.stem.take(tensors, "_conv_stem", "_bn0")
        for number, block in enumerate(self.blocks):
            assert isinstance(block, _Block)
            start = f"_blocks.{number}."
            if block.expand is not None:
                block.expand.take(tensors, f"{start}_expand_conv", f"{start}_bn0")
            block.filter.take(tensors, f"{start}_depthwise_conv", f"{start}_bn1")
            block.project.take(tensors, f"{start}_project_conv", f"{start}_bn2")

    def forward(self, x: Tensor) -> list[Tensor]:
        """Five feature maps, finest first."""
        x = self.stem(((x + 1) / 2 - self.mean) / self.deviation)
        features = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self._seen:
                features.append(x)
        return features
