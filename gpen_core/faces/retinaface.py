"""RetinaFace's network with the MobileNet backbone of a quarter's width, in the layout of facexlib's weights.

Built here so that what ships runs without facexlib and torchvision, which take seconds to import.
Deng et al., "RetinaFace: Single-stage Dense Face Localisation in the Wild", CVPR 2020.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Input and output channels and stride of each depthwise block, by stage; a plain convolution to 8 channels goes first.
BLOCKS = (
    ((8, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1)),
    ((64, 128, 2), *((128, 128, 1),) * 5),
    ((128, 256, 2), (256, 256, 1)),
)
_WIDTH = 64
_ANCHORS = 2


def convolution(inputs: int, outputs: int, size: int = 3, stride: int = 1, *, groups: int = 1) -> list[nn.Module]:
    """A convolution that keeps the size, but for its stride, and its batch norm."""
    return [
        nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]


def active(*layers: nn.Module) -> list[nn.Module]:
    """The layers and what comes after them everywhere here."""
    return [*layers, nn.LeakyReLU(0.1, inplace=True)]


def separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """A depthwise block, the unit of MobileNet."""
    depthwise = active(*convolution(inputs, inputs, stride=stride, groups=inputs))
    return nn.Sequential(*depthwise, *active(*convolution(inputs, outputs, 1)))


class _Body(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        first = nn.Sequential(*active(*convolution(3, 8, stride=2)))
        stages = [[separable(*block) for block in blocks] for blocks in BLOCKS]
        self.stage1 = nn.Sequential(first, *stages[0])
        self.stage2 = nn.Sequential(*stages[1])
        self.stage3 = nn.Sequential(*stages[2])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of strides 8, 16 and 32."""
        fine = self.stage1(x)
        middle = self.stage2(fine)
        return [fine, middle, self.stage3(middle)]


class _Pyramid(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.output1, self.output2, self.output3 = (
            nn.Sequential(*active(*convolution(blocks[-1][1], _WIDTH, 1))) for blocks in BLOCKS
        )
        self.merge1, self.merge2 = (nn.Sequential(*active(*convolution(_WIDTH, _WIDTH))) for _ in range(2))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The features, each with what the coarser ones know."""
        fine, middle, coarse = (
            layer(x) for layer, x in zip((self.output1, self.output2, self.output3), features, strict=True)
        )
        middle = self.merge2(middle + F.interpolate(coarse, middle.shape[-2:], mode="nearest"))
        fine = self.merge1(fine + F.interpolate(middle, fine.shape[-2:], mode="nearest"))
        return [fine, middle, coarse]


class _Context(nn.Module):
    """What facexlib calls SSH: views of 3, 5 and 7 px side by side."""

    def __init__(self) -> None:
        super().__init__()
        half, quarter = _WIDTH // 2, _WIDTH // 4
        self.conv3X3 = nn.Sequential(*convolution(_WIDTH, half))
        self.conv5X5_1 = nn.Sequential(*active(*convolution(_WIDTH, quarter)))
        self.conv5X5_2 = nn.Sequential(*convolution(quarter, quarter))
        self.conv7X7_2 = nn.Sequential(*active(*convolution(quarter, quarter)))
        self.conv7x7_3 = nn.Sequential(*convolution(quarter, quarter))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 64, H, W)."""
        wider = self.conv5X5_1(x)
        return F.relu(torch.cat([self.conv3X3(x), self.conv5X5_2(wider), self.conv7x7_3(self.conv7X7_2(wider))], 1))


class _Head(nn.Module):
    def __init__(self, values: int) -> None:
        super().__init__()
        self.values = values
        self.conv1x1 = nn.Conv2d(_WIDTH, _ANCHORS * values, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, anchors, values), by row, column, anchor."""
        values: Tensor = self.conv1x1(x)
        return values.permute(0, 2, 3, 1).reshape(len(x), -1, self.values)


class MobileRetinaFace(nn.Module):
    """BGR (B, 3, H, W) less its mean → box offsets (B, A, 4), scores (B, A, 2), landmark offsets (B, A, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.fpn = _Body(), _Pyramid()
        self.ssh1, self.ssh2, self.ssh3 = _Context(), _Context(), _Context()
        self.ClassHead, self.BboxHead, self.LandmarkHead = (
            nn.ModuleList(_Head(values) for _ in BLOCKS) for values in (2, 4, 10)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of all anchors, finest level first."""
        levels = self.fpn(self.body(x))
        levels = [context(level) for context, level in zip((self.ssh1, self.ssh2, self.ssh3), levels, strict=True)]
        scores, boxes, points = (
            torch.cat([head(level) for head, level in zip(heads, levels, strict=True)], 1)
            for heads in (self.ClassHead, self.BboxHead, self.LandmarkHead)
        )
        return boxes, F.softmax(scores, dim=-1), points
