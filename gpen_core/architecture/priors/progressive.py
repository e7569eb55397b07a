"""What StyleGAN v1 and PGGAN share: an output for each resolution, of which the largest is shown once all are grown."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from ...config import GPENConfig
from ...errors import WeightsError
from ..layers import normal
from ..operators import at_least_float32
from .base import Prior, Shapes


class PictureOutput(nn.Module):
    """The picture that one resolution gives: an equalised 1×1 convolution."""

    def __init__(self, inputs: int, *, generator: Generator | None = None) -> None:
        super().__init__()
        self.weight = normal(3, inputs, 1, 1, generator=generator)
        self.bias = nn.Parameter(torch.zeros(3))
        self.scale = 1 / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) in float32 at least, from `x` (B, inputs, H, W)."""
        out = F.conv2d(x, (self.weight * self.scale).to(x.dtype))
        return out.to(at_least_float32(out.dtype)) + self.bias.view(1, -1, 1, 1)


class ProgressivePrior(Prior):
    """A prior of two layers and one output a resolution. `lod`, as its files have it, counts the resolutions that are
    not shown yet: 0 shows the largest alone; a fraction fades it in over the smaller one's picture.
    """

    def __init__(self, config: GPENConfig, *, generator: Generator | None = None) -> None:
        super().__init__(config, generator=generator)
        self.width = 2 if config.options.concat else 1
        self._settled: float | None = None

    @property
    def feature_inputs(self) -> Mapping[int, int]:
        """Two at every resolution."""
        return dict.fromkeys(self.resolutions, 2)

    def add_outputs(self, place: nn.Module, generator: Generator | None) -> None:
        """Gives `place` its outputs and its `lod`."""
        for level, resolution in enumerate(self.resolutions):
            output = PictureOutput(self.channels[resolution] * self.width, generator=generator)
            place.add_module(f"output{level}", output)
        place.register_buffer("lod", torch.zeros(()))

    @property
    def stages(self) -> nn.Module:
        """The module that holds layers, outputs and `lod`."""
        return self

    def shown(self, results: Iterable[Tensor]) -> Tensor:
        """The picture (B, 3, S, S) of what the resolutions give, smallest first; those not shown are not asked for."""
        levels, hidden = len(self.resolutions), self.hidden
        last = levels - 1 - math.floor(hidden)
        share = 1 - (hidden - math.floor(hidden))
        picture: Tensor | None = None
        for level, x in enumerate(itertools.islice(results, last + 1)):
            if level < last - 1 or (level == last - 1 and share == 1):
                continue
            own: Tensor = self.stages.get_submodule(f"output{level}")(x)
            picture = own if picture is None else torch.lerp(doubled(picture), own, share)
        assert picture is not None
        factor = 2 ** (levels - 1 - last)
        return picture if factor == 1 else F.interpolate(picture, scale_factor=factor, mode="nearest")

    @property
    def hidden(self) -> float:
        """`lod`."""
        return float(self.stages.get_buffer("lod")) if self._settled is None else self._settled

    @contextmanager
    def settled(self) -> Iterator[None]:
        """Inside, `lod` is what it is now: a program that is traced takes no turns by a tensor's value."""
        self._settled = self.hidden
        try:
            yield
        finally:
            self._settled = None

    def last_output(self) -> PictureOutput:
        """The output of the largest resolution."""
        output = self.stages.get_submodule(f"output{len(self.resolutions) - 1}")
        assert isinstance(output, PictureOutput)
        return output

    def hide(self, resolutions: float) -> None:
        """Sets `lod`."""
        self.stages.get_buffer("lod").fill_(resolutions)

    def change_range(self, scale: float, shift: float) -> None:
        """Each resolution's output is a picture by itself: all are scaled and moved."""
        with torch.no_grad():
            for level in range(len(self.resolutions)):
                output = self.stages.get_submodule(f"output{level}")
                output.get_parameter("weight").mul_(scale)
                output.get_parameter("bias").mul_(scale).add_(shift)

    def require_grown(self, state: Mapping[str, Tensor], name: str) -> None:
        """Raises WeightsError where the file's `lod`, of this name, says that it was not grown to its size."""
        hidden = float(state[name]) if name in state else 0.0
        if hidden > 0:
            reached = self.resolutions[max(0, len(self.resolutions) - 1 - math.ceil(hidden))]
            raise WeightsError(
                f"the {self.name} prior is half-grown: its lod is {hidden:g}, so it shows {reached} px of"
                f" {self.config.out_size}; give one that was trained to its end (lod 0)"
            )


def doubled(x: Tensor) -> Tensor:
    """`x` (B, C, H, W) at twice the size, each pixel four times."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


def normalised_by_channel(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """`x` (B, C, H, W) with mean 0 and variance 1 in each channel, times 1 + `scale` (B, C), plus `shift` (B, C)."""
    wide = x.to(at_least_float32(x.dtype))
    wide = wide - wide.mean(dim=(2, 3), keepdim=True)
    # In the order of the published code: a nearly constant channel depends on each rounding.
    wide = wide / torch.sqrt(wide.square().mean(dim=(2, 3), keepdim=True) + 1e-8)
    return (wide * (scale + 1)[:, :, None, None] + shift[:, :, None, None]).to(x.dtype)


def fused_kernel(weight: Tensor) -> Tensor:
    """`weight` (O, I, 3, 3) as a transposed convolution (I, O, 4, 4) that doubles the size."""
    padded = F.pad(weight, (1, 1, 1, 1))
    summed = padded[..., 1:, 1:] + padded[..., :-1, 1:] + padded[..., 1:, :-1] + padded[..., :-1, :-1]
    return summed.transpose(0, 1)


def widened(weight: Tensor) -> Tensor:
    """An equalised `weight` (O, I, k, k) with as many zero columns again, for the same result with a doubled fan-in."""
    return torch.cat([weight, torch.zeros_like(weight)], dim=1) * math.sqrt(2)


def channel_table(shapes: Shapes, layer: str, bias: str) -> tuple[dict[int, int], bool] | None:
    """(channels by resolution, whether features are concatenated) of files with two layers a resolution; None: others.

    layer, bias: patterns of their names; a layer without weights has as many channels as its bias.
    """
    count = 0
    while bias.format(count) in shapes:
        count += 1
    weights = [shapes.get(layer.format(2 * level + 1)) for level in range(count // 2)]
    if count < 4 or count % 2 or any(weight is None or len(weight) != 4 for weight in weights):
        return None
    channels = {4 * 2**level: int(weight[0]) for level, weight in enumerate(weights) if weight is not None}
    return channels, int(shapes[bias.format(count - 1)][0]) == 2 * channels[max(channels)]
