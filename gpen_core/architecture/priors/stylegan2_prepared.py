"""StyleGAN2's inference form: each block runs in strips of rows, from the smaller block's result to its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..folded import FoldedLinear, FoldedModule, FoldedStyledConv, FoldedToRGB, laid_out
from ..layers import EqualizedLinear, StyledConv, ToRGB
from ..operators import blur_kernel, pixel_norm, upsample
from ..strips import Workspace, strips
from .base import Features

if TYPE_CHECKING:
    from .stylegan2 import StyleGAN2Prior


class FoldedBlock(FoldedModule):
    """One resolution of the prior: from the smaller block's result and picture to its own. size: the smaller one's."""

    def __init__(
        self, up: StyledConv, same: StyledConv, to_rgb: ToRGB, dtype: torch.dtype, size: int, *, last: bool
    ) -> None:
        super().__init__(dtype)
        self.up = FoldedStyledConv(up, dtype, size)
        self.same = FoldedStyledConv(same, dtype, 2 * size)
        self.to_rgb = FoldedToRGB(to_rgb, dtype)
        self.last = last

    def forward(
        self, x: Tensor, picture: Tensor, w: Tensor, features: Sequence[Tensor], workspace: Workspace
    ) -> tuple[Tensor, Tensor]:
        """The result (B, width, 2H, 2W), after the last block only a part of it, and `picture` (B, 3, 2H, 2W) added to.

        x: (B, C, H, W); picture: brought to the new size; w: (B, style_dim); features: two (B or 1, channels, 2H, 2W).
        """
        modulations = self.up.conv.modulated(w), self.same.conv.modulated(w)
        weight = self.to_rgb.modulated(w)
        batch, size, width = len(x), 2 * x.shape[-1], self.same.width
        whole = None
        if not self.last:
            whole = workspace.take(f"block{size}", (batch, width, size, size), self.dtype, x.device)
        for start, stop in strips(size, self.up.width * size * self.dtype.itemsize, x.device):
            # The second convolution sees one row beyond the strip on either side.
            above, below = max(start - 1, 0), min(stop + 1, size)
            room = (batch, self.up.width, min(stop - start + 2, size), size)
            middle = workspace.take(f"middle{size}", room, self.dtype, x.device)[:, :, : below - above]
            self.up.rows(x, above, below, modulations[0], features[0], middle)
            if whole is None:
                out = workspace.take("last", (batch, width, stop - start, size), self.dtype, x.device)
            else:
                out = whole[:, :, start:stop]
            self.same.rows(middle, start - above, stop - above, modulations[1], features[1][:, :, above:], out)
            picture[:, :, start:stop] += self.to_rgb(out, weight)
        return (out if whole is None else whole), picture


class PreparedStyleGAN2(FoldedModule):
    """What `StyleGAN2Prior.forward` gives, in float32, computed in `dtype`."""

    start: Tensor
    kernel: Tensor

    def __init__(self, plain: StyleGAN2Prior, dtype: torch.dtype) -> None:
        super().__init__(dtype)
        self.resolutions = plain.resolutions
        self.keep("kernel", blur_kernel(4.0).to(plain.input.input.device))
        self.style = nn.ModuleList(FoldedLinear(m) for m in plain.style if isinstance(m, EqualizedLinear))
        self.keep("start", laid_out(plain.input.input.detach(), dtype), computing=True)
        self.conv1 = FoldedStyledConv(plain.conv1, dtype, 4)
        self.to_rgb1 = FoldedToRGB(plain.to_rgb1, dtype)
        convs = [m for m in plain.convs if isinstance(m, StyledConv)]
        to_rgbs = [m for m in plain.to_rgbs if isinstance(m, ToRGB)]
        self.blocks = nn.ModuleList(
            FoldedBlock(up, same, to_rgb, dtype, 4 * 2**level, last=to_rgb is to_rgbs[-1])
            for level, (up, same, to_rgb) in enumerate(zip(convs[::2], convs[1::2], to_rgbs, strict=True))
        )

    def forward(self, latent: Tensor, features: Features, workspace: Workspace) -> Tensor:
        """Pictures (B, 3, S, S) from the encoder's code `latent` (B, style_dim) and the features in `dtype`."""
        w = pixel_norm(latent)
        for layer in self.style:
            w = layer(w)
        size = features[4][0].shape[-1]
        x = self.start[:, :, :size, :size].expand(len(w), -1, -1, -1)
        out = workspace.take("block4", (len(w), self.conv1.width, size, size), self.dtype, w.device)
        self.conv1.rows(x, 0, size, self.conv1.conv.modulated(w), features[4][0], out)
        picture: Tensor = self.to_rgb1(out, self.to_rgb1.modulated(w))
        for block, resolution in zip(self.blocks, self.resolutions[1:], strict=True):
            out, picture = block(out, upsample(picture, self.kernel), w, features[resolution], workspace)
        return picture
