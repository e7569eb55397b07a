"""Adaptive discriminator augmentation (Karras et al. 2020a): small sets last longer when the discriminator never sees
them bare.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from ..errors import ConfigError
from .fields import at_least
from .progress import Progress

_LUMA = (1 / math.sqrt(3),) * 3


@dataclass(frozen=True, kw_only=True)
class AugmentRecipe:
    """Adaptive discriminator augmentation (Karras et al. 2020a): its strength keeps the sign of real scores at
    `target`; 0: off.

    ramp_images: over which the strength may go from 0 to 1. every: steps between adjustments. start: the first
    strength.
    """

    target: float = 0.0
    ramp_images: int = 500_000
    every: int = 4
    start: float = 0.0
    limit: float = 0.85

    def __post_init__(self) -> None:
        at_least(self, 0, "target", "start", "limit")
        at_least(self, 1, "every", "ramp_images")
        for name in ("target", "start", "limit"):  # a mean of signs, and probabilities
            if getattr(self, name) > 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at most 1")


class Augmentation:
    """Flips, turns, shifts, scales and changes of colour, each with probability `strength`; differentiable in the
    pictures.

    Called with (B, 3, S, S) in [-1, 1], a strength in [0, 1] and the source of its random numbers.
    """

    def __call__(self, pictures: Tensor, strength: float, source: Generator) -> Tensor:
        """The augmented pictures, same shape; strength 0 leaves them as they are."""
        if strength <= 0:
            return pictures
        count, device = len(pictures), pictures.device
        draws = torch.rand(16, count, generator=source, device=source.device).to(device)
        normal = torch.randn(8, count, generator=source, device=source.device).to(device)
        with torch.autocast(device.type, enabled=False):
            wide = pictures.to(torch.promote_types(pictures.dtype, torch.float32))
            return _recolour(_move(wide, strength, draws, normal), strength, draws, normal)


class AdaptiveAugmentation(Augmentation):
    """Keeps E[sign of real scores] at the recipe's target by the strength that `progress` carries (§3)."""

    def __init__(self, recipe: AugmentRecipe) -> None:
        self._recipe = recipe

    def note(self, progress: Progress, signs: Tensor) -> None:
        """signs: (sum, count) of the signs of a batch's real scores."""
        positive, count = signs.tolist()
        progress.sign_sum += positive
        progress.sign_count += count

    def adjust(self, progress: Progress, seen: int) -> None:
        """Moves the strength, once in `every` steps. seen: images of a step."""
        recipe = self._recipe
        if not recipe.target or progress.steps % recipe.every:
            return
        mean = progress.sign_sum / max(1, progress.sign_count)
        change = recipe.every * seen / recipe.ramp_images
        progress.augment = min(recipe.limit, max(0.0, progress.augment + (change if mean > recipe.target else -change)))
        progress.sign_sum, progress.sign_count = 0.0, 0


def _move(pictures: Tensor, strength: float, draws: Tensor, normal: Tensor) -> Tensor:
    """Mirror, quarter turns, whole and fractional shifts, isotropic and anisotropic scale, rotation: one affine
    resampling.
    """
    happens = draws[:8] < strength
    one = torch.ones_like(draws[0])
    flip = torch.where(happens[0] & (draws[8] < 0.5), -one, one)
    quarter = torch.where(happens[1], (draws[9] * 4).floor(), 0 * one) * (math.pi / 2)
    angle = quarter + torch.where(happens[2], (draws[10] * 2 - 1) * math.pi, 0 * one)
    scale = torch.where(happens[3], (normal[0] * 0.2 * math.log(2)).exp(), one)
    stretch = torch.where(happens[4], (normal[1] * 0.2 * math.log(2)).exp(), one)
    shift_x = torch.where(happens[5], (draws[11] * 2 - 1) * 0.25 + normal[2] * 0.125, 0 * one)
    shift_y = torch.where(happens[5], (draws[12] * 2 - 1) * 0.25 + normal[3] * 0.125, 0 * one)
    cosine, sine = angle.cos(), angle.sin()
    rows = [
        torch.stack([flip * cosine * scale * stretch, -sine * scale * stretch, shift_x], 1),
        torch.stack([flip * sine * scale / stretch, cosine * scale / stretch, shift_y], 1),
    ]
    matrix = torch.stack(rows, 1).to(pictures.dtype)
    grid = F.affine_grid(matrix, list(pictures.shape), align_corners=False)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _recolour(pictures: Tensor, strength: float, draws: Tensor, normal: Tensor) -> Tensor:
    """Brightness, contrast, hue and saturation: an affine map of the colours of each picture."""
    happens = draws[[6, 7, 13, 14]] < strength
    one = torch.ones_like(draws[0])
    brightness = torch.where(happens[0], normal[4] * 0.2, 0 * one)
    contrast = torch.where(happens[1], (normal[5] * 0.5 * math.log(2)).exp(), one)
    hue = torch.where(happens[2], (draws[15] * 2 - 1) * math.pi, 0 * one)
    saturation = torch.where(happens[3], (normal[6] * math.log(2)).exp(), one)
    axis = pictures.new_tensor(_LUMA)
    along = axis[:, None] * axis
    cross = torch.linalg.cross(torch.eye(3, device=pictures.device, dtype=pictures.dtype), axis.expand(3, 3)).T
    eye = torch.eye(3, device=pictures.device, dtype=pictures.dtype)
    cosine, sine = hue.cos().to(axis)[:, None, None], hue.sin().to(axis)[:, None, None]
    turned = along + cosine * (eye - along) - sine * cross
    colours = along + saturation.to(axis)[:, None, None] * (turned - along @ turned)
    mixed = torch.einsum("bij,bjhw->bihw", colours * contrast.to(axis)[:, None, None], pictures)
    return mixed + brightness.to(axis)[:, None, None, None]
