"""Faces that do not stand quite where the template says, as landmarks found in a damaged picture leave them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from .draws import Draw


@dataclass(frozen=True, kw_only=True)
class Placing:
    """How a face is moved: turned by `angle` (radians, clockwise), enlarged by `scale`, shifted by x, y of the side."""

    angle: float
    scale: float
    x: float
    y: float


def draw_placing(stream: Draw, turn: float, enlarge: float, shift: float) -> Placing:
    """Uniform within ±`turn` degrees, 1 ± `enlarge`, and ±`shift` of the side."""
    angle, larger = stream.uniform((-turn, turn)), stream.uniform((-enlarge, enlarge))
    x, y = (stream.uniform((-shift, shift)) for _ in range(2))
    return Placing(angle=math.radians(angle), scale=1 + larger, x=x, y=y)


def place(picture: Tensor, placing: Placing) -> Tensor:
    """`picture` (3, S, S) in [0, 1], turned and enlarged about its middle, then shifted; mirrored at its edges.

    Cubic: bilinear sampling takes a quarter of the finest lines, and training would learn to lack them.
    """
    cosine, sine = math.cos(placing.angle) / placing.scale, math.sin(placing.angle) / placing.scale
    # In grid_sample's units, -1 and 1 at the edges: where each pixel of the result comes from.
    across, down = -2 * placing.x, -2 * placing.y
    rows = [
        [cosine, sine, cosine * across + sine * down],
        [-sine, cosine, cosine * down - sine * across],
    ]
    grid = F.affine_grid(picture.new_tensor([rows]), [1, *picture.shape], align_corners=False)
    moved = F.grid_sample(picture[None], grid, "bicubic", padding_mode="reflection", align_corners=False)
    return moved[0].clamp(0, 1)
