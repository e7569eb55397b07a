"""How much damage is drawn: ranges, presets, and the draw for one sample."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from ..errors import ConfigError
from .compression import Codec
from .draws import Draw
from .resample import Filter

Range = tuple[float, float]
Target = Literal["restoration", "colorization", "inpainting"]


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One round of blur, shrink, noise and compression; each number is drawn uniformly from its range.

    blur: sigma in pixels (see `Ranges.measured_at`); anisotropic, motion: probability of that kind of kernel.
    shrink: factor by which the side shrinks (below 1: grows), by one of `filters`.
    noise: Gaussian sigma, of 255; grey_noise: probability that the channels share it; poisson: probability of shot
    noise too,
    with `photons` for white. quality: JPEG, or WebP with probability `webp`; None: not saved.
    """

    blur: Range = (0.0, 0.0)
    anisotropic: float = 0.5
    motion: float = 0.0
    motion_length: Range = (5.0, 25.0)
    shrink: Range = (1.0, 1.0)
    filters: tuple[Filter, ...] = ("linear",)
    noise: Range = (0.0, 0.0)
    grey_noise: float = 0.0
    poisson: float = 0.0
    photons: Range = (50.0, 500.0)
    quality: Range | None = None
    webp: float = 0.0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("blur", 0.0, 100.0),
            ("motion_length", 1.0, 100.0),
            ("shrink", 0.25, 64.0),
            ("noise", 0.0, 255.0),
            ("photons", 1.0, 1e6),
            ("quality", 1.0, 100.0),
        ):
            bounds = getattr(self, name)
            if bounds is not None and not low <= bounds[0] <= bounds[1] <= high:
                raise ConfigError(
                    f"{name} is {bounds}; it must be two numbers from {low:g} to {high:g}, the smaller first"
                )
        _check_probabilities(self, "anisotropic", "motion", "grey_noise", "poisson", "webp")
        unknown = set(self.filters) - set(get_args(Filter))
        if unknown or not self.filters:
            raise ConfigError(f"filters are {self.filters}; they must be some of {', '.join(get_args(Filter))}")


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """What may happen to a picture.

    chains: one is drawn, and its passes run in turn. measured_at: the side at which blur is given, scaled to the
    picture's; None: its own pixels.
    kernel_size: of the blur, odd. flip, grey_pair: probability that both pictures of a pair are mirrored, turned grey.
    grey, sepia, scratches, banding: probability of these on the damaged picture only. back: the filter that brings it
    to size again.
    target: "colorization" takes the colour away, "inpainting" paints white strokes and boxes over the picture.
    """

    chains: tuple[tuple[Pass, ...], ...] = ((),)
    measured_at: int | None = None
    kernel_size: int = 41
    flip: float = 0.5
    grey_pair: float = 0.0
    grey: float = 0.0
    sepia: float = 0.0
    scratches: float = 0.0
    banding: float = 0.0
    back: Filter = "linear"
    target: Target = "restoration"

    def __post_init__(self) -> None:
        _check_probabilities(self, "flip", "grey_pair", "grey", "sepia", "scratches", "banding")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ConfigError(f"kernel_size is {self.kernel_size}; it must be odd and positive")
        if not self.chains:
            raise ConfigError("chains is empty; give at least one chain of passes, () for none")
        if self.target not in get_args(Target) or self.back not in get_args(Filter):
            raise ConfigError(
                f"target is {self.target!r} and back {self.back!r}; see {get_args(Target)} and {get_args(Filter)}"
            )


@dataclass(frozen=True, kw_only=True)
class DrawnPass:
    """The numbers of one pass for one picture; sigma and motion in its pixels, noise in [0, 1]."""

    sigma: tuple[float, float] = (0.0, 0.0)
    motion: float = 0.0
    angle: float = 0.0
    shrink: float = 1.0
    filter: Filter = "linear"
    noise: float = 0.0
    grey_noise: bool = False
    photons: float = 0.0
    noise_key: int = 0
    codec: Codec | None = None


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Everything that will happen to one picture."""

    passes: tuple[DrawnPass, ...] = ()
    flip: bool = False
    grey_pair: bool = False
    grey: bool = False
    sepia: bool = False
    banding: int = 0
    marks: tuple[tuple[float, ...], ...] = field(default=())
    """Segments (x0, y0, x1, y1, width, brightness) as fractions of the side: scratches, strokes."""
    boxes: tuple[tuple[float, ...], ...] = field(default=())
    """Rectangles (x0, y0, x1, y1) to be painted white."""


def draw(ranges: Ranges, seed: int, index: int, size: int) -> Drawn:
    """The damage of sample `index` at `size` pixels; a function of its arguments alone."""
    stream = Draw(seed, index)
    flip, grey_pair = stream.chance(ranges.flip), stream.chance(ranges.grey_pair)
    grey, sepia = stream.chance(ranges.grey), stream.chance(ranges.sepia)
    scratched, banded = stream.chance(ranges.scratches), stream.chance(ranges.banding)
    chain = ranges.chains[stream.integer(len(ranges.chains))]
    scale = 1.0 if ranges.measured_at is None else size / ranges.measured_at
    passes = tuple(_draw_pass(p, stream, scale) for p in chain)
    marks = tuple(_scratch(stream) for _ in range(1 + stream.integer(8))) if scratched else ()
    levels = 8 + stream.integer(25) if banded else 0
    boxes: tuple[tuple[float, ...], ...] = ()
    if ranges.target == "inpainting":
        marks += tuple(s for _ in range(1 + stream.integer(5)) for s in _stroke(stream))
        boxes = tuple(_box(stream) for _ in range(stream.integer(3)))
    return Drawn(
        passes=passes,
        flip=flip,
        grey_pair=grey_pair,
        grey=grey or ranges.target == "colorization",
        sepia=sepia,
        banding=levels,
        marks=marks,
        boxes=boxes,
    )


def _draw_pass(ranges: Pass, stream: Draw, scale: float) -> DrawnPass:
    first = stream.uniform(ranges.blur) * scale
    second = stream.uniform(ranges.blur) * scale
    anisotropic = stream.chance(ranges.anisotropic)
    moved, length = stream.chance(ranges.motion), stream.uniform(ranges.motion_length) * scale
    angle = stream.uniform((-math.pi, math.pi))
    shrink, kind = stream.uniform(ranges.shrink), ranges.filters[stream.integer(len(ranges.filters))]
    sigma, shared = stream.uniform(ranges.noise) / 255, stream.chance(ranges.grey_noise)
    shot, photons = stream.chance(ranges.poisson), stream.uniform(ranges.photons)
    key, webp, codec = stream.key(), stream.chance(ranges.webp), None
    if ranges.quality is not None:
        codec = Codec(quality=round(stream.uniform(ranges.quality)), format="WEBP" if webp else "JPEG")
    return DrawnPass(
        sigma=(first, second if anisotropic else first),
        motion=length if moved else 0.0,
        angle=angle,
        shrink=shrink,
        filter=kind,
        noise=sigma,
        grey_noise=shared,
        photons=photons if shot else 0.0,
        noise_key=key,
        codec=codec,
    )


def _scratch(stream: Draw) -> tuple[float, ...]:
    """A thin, mostly upright line, light or dark."""
    x, lean = stream.unit(), stream.uniform((-0.1, 0.1))
    top, length = stream.uniform((-0.2, 0.8)), stream.uniform((0.1, 1.0))
    return x, top, x + lean * length, top + length, stream.uniform((0.001, 0.006)), float(stream.chance(0.7))


def _stroke(stream: Draw) -> list[tuple[float, ...]]:
    """A thick white line with a few bends."""
    x, y, width = stream.unit(), stream.unit(), stream.uniform((0.01, 0.06))
    heading = stream.uniform((-math.pi, math.pi))
    segments: list[tuple[float, ...]] = []
    for _ in range(2 + stream.integer(5)):
        heading += stream.uniform((-1.0, 1.0))
        length = stream.uniform((0.05, 0.25))
        end = x + length * math.cos(heading), y + length * math.sin(heading)
        segments.append((x, y, *end, width, 1.0))
        x, y = end
    return segments


def _box(stream: Draw) -> tuple[float, ...]:
    x, y = stream.uniform((0.0, 0.8)), stream.uniform((0.0, 0.8))
    return x, y, x + stream.uniform((0.08, 0.35)), y + stream.uniform((0.08, 0.35))


def _check_probabilities(ranges: Pass | Ranges, *names: str) -> None:
    for name in names:
        value = getattr(ranges, name)
        if not 0 <= value <= 1:
            raise ConfigError(f"{name} is {value}; it is a probability, from 0 to 1")
