"""What paper does to a photograph: a printing screen of dots, and the fading and toning of old prints."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .marks import grey

# Degrees by which the screens of the inks are turned, so that they make no moiré: cyan, magenta, yellow.
_INK_ANGLES = (15.0, 75.0, 0.0)
_BLACK_ANGLE = 45.0
_CELL = 64


@dataclass(frozen=True, kw_only=True)
class Screen:
    """Dots `pitch` pixels apart, the whole screen turned by `angle` (radians); coloured: one screen for each ink."""

    pitch: float
    angle: float = 0.0
    coloured: bool = True


@dataclass(frozen=True, kw_only=True)
class Tone:
    """What became of a print's darkest and brightest colour, and of the curve between; grey: its colours are gone."""

    black: tuple[float, float, float]
    white: tuple[float, float, float]
    gamma: float = 1.0
    grey: bool = True


def halftone(pixels: Tensor, screens: Sequence[Screen]) -> Tensor:
    """`pixels` (B, 3, H, W) in [0, 1] printed in dots, each picture by its own screen; the mean tone stays.

    Edges of dots are about a pixel wide, so that the screen itself does not alias.
    """
    height, width = pixels.shape[-2:]
    row = torch.arange(height, device=pixels.device, dtype=torch.float32)[:, None]
    column = torch.arange(width, device=pixels.device, dtype=torch.float32)[None]
    levels = _levels().to(pixels.device)
    printed = []
    for picture, screen in zip(pixels, screens, strict=True):
        inks = picture if screen.coloured else grey(picture)[:1]
        angles = [screen.angle + math.radians(a) for a in (_INK_ANGLES if screen.coloured else (_BLACK_ANGLE,))]
        turn = 2 * math.pi / screen.pitch
        waves = torch.stack(
            [
                torch.cos(turn * (math.cos(a) * column + math.sin(a) * row))
                + torch.cos(turn * (math.cos(a) * row - math.sin(a) * column))
                for a in angles
            ]
        )
        # The rank of each wave among all values of a cell: a share v of the paper stays white where the tone is v.
        threshold = torch.searchsorted(levels, waves) / len(levels)
        steepness = max(1.0, screen.pitch / 2)
        printed.append((0.5 + (inks - threshold) * steepness).clamp(0, 1).expand(3, -1, -1))
    return torch.stack(printed)


def tone(picture: Tensor, drawn: Tone) -> Tensor:
    """`picture` (3, H, W) in [0, 1] as a print of this tone shows it."""
    black, white = (picture.new_tensor(c)[:, None, None] for c in (drawn.black, drawn.white))
    values = grey(picture) if drawn.grey else picture
    return black + (white - black) * values.clamp(0, 1) ** drawn.gamma


@functools.lru_cache(maxsize=1)
def _levels() -> Tensor:
    """The values of a screen's wave over one cell, sorted."""
    wave = torch.cos(2 * math.pi * (torch.arange(_CELL) + 0.5) / _CELL)
    return (wave[:, None] + wave[None]).flatten().sort().values
