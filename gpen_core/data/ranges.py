"""How much damage is drawn: ranges, presets, and the draw for one sample."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from ..errors import ConfigError
from .compression import Codec
from .draws import Draw
from .placing import Placing, draw_placing
from .prints import Screen, Tone
from .resample import Filter
from .texture import Sharpening, Texture

Range = tuple[float, float]
Target = Literal["restoration", "colorization", "inpainting"]

# Numbers that a preset does not use take none from the stream of the others: a preset's damage stays what it was.
_LATER, _LAST = 2, 3


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One round of print, blur, shrink, noise, sharpening and compression, each number drawn uniformly from its range.

    blur: sigma in pixels (see `Ranges.measured_at`); anisotropic, motion: probability of that kind of kernel.
    shrink: factor by which the side shrinks (below 1: grows), by one of `filters`.
    noise: Gaussian sigma, of 255; grey_noise: probability that the channels share it; poisson: probability of shot
    noise too, with `photons` for white. grain, colour_noise: amplitudes, of 255, of noise in brightness and in colour
    that is coarser than a pixel (`_size`: sigma in pixels of the picture as it then is).
    halftone: probability that it was printed in dots, `dot_pitch` apart. sharpen: probability of an unsharp mask.
    quality: JPEG, or WebP with probability `webp`; None: not saved. blocks_anywhere: whether JPEG's blocks begin
    anywhere, as in a face cut from a larger picture, or at the corner.
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
    grain: Range = (0.0, 0.0)
    grain_size: Range = (0.5, 1.5)
    colour_noise: Range = (0.0, 0.0)
    colour_noise_size: Range = (1.0, 3.0)
    halftone: float = 0.0
    dot_pitch: Range = (4.0, 10.0)
    sharpen: float = 0.0
    sharpen_amount: Range = (0.5, 4.0)
    sharpen_radius: Range = (0.6, 2.5)
    quality: Range | None = None
    webp: float = 0.0
    blocks_anywhere: bool = False

    def __post_init__(self) -> None:
        for name, low, high in (
            ("blur", 0.0, 100.0),
            ("motion_length", 1.0, 100.0),
            ("shrink", 0.25, 64.0),
            ("noise", 0.0, 255.0),
            ("photons", 1.0, 1e6),
            ("grain", 0.0, 255.0),
            ("grain_size", 0.0, 2.0),
            ("colour_noise", 0.0, 255.0),
            ("colour_noise_size", 0.0, 4.0),
            ("dot_pitch", 2.0, 100.0),
            ("sharpen_amount", 0.0, 10.0),
            ("sharpen_radius", 0.1, 3.0),
            ("quality", 1.0, 100.0),
        ):
            bounds = getattr(self, name)
            if bounds is not None and not low <= bounds[0] <= bounds[1] <= high:
                raise ConfigError(
                    f"{name} is {bounds}; it must be two numbers from {low:g} to {high:g}, the smaller first"
                )
        _check_probabilities(self, "anisotropic", "motion", "grey_noise", "poisson", "webp", "halftone", "sharpen")
        unknown = set(self.filters) - set(get_args(Filter))
        if unknown or not self.filters:
            raise ConfigError(f"filters are {self.filters}; they must be some of {', '.join(get_args(Filter))}")


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """What may happen to a picture.

    chains: one is drawn, and its passes run in turn. measured_at: the side at which blur and dots are given, scaled to
    the picture's; None: its own pixels.
    kernel_size: of the blur, odd. flip, grey_pair: probability that both pictures of a pair are mirrored, turned grey.
    moved_pair: probability that both stand a little off, as faces do whose landmarks were found: turned by up to `turn`
    degrees, larger or smaller by up to `enlarge`, shifted by up to `shift` of the side.
    toned_pair: probability that both are old prints, grey or toned and faded: a restored face keeps its print's tone.
    grey, sepia, faded, scratches, banding: probability of these on the damaged picture only. back: the filter that
    brings it to size again.
    target: "colorization" takes the colour away, "inpainting" paints white strokes and boxes over the picture.
    """

    chains: tuple[tuple[Pass, ...], ...] = ((),)
    measured_at: int | None = None
    kernel_size: int = 41
    flip: float = 0.5
    moved_pair: float = 0.0
    turn: float = 6.0
    enlarge: float = 0.08
    shift: float = 0.025
    grey_pair: float = 0.0
    toned_pair: float = 0.0
    grey: float = 0.0
    sepia: float = 0.0
    faded: float = 0.0
    scratches: float = 0.0
    banding: float = 0.0
    back: Filter = "linear"
    target: Target = "restoration"

    def __post_init__(self) -> None:
        _check_probabilities(
            self, "flip", "moved_pair", "grey_pair", "toned_pair", "grey", "sepia", "faded", "scratches", "banding"
        )
        for name, high in (("turn", 45.0), ("enlarge", 0.5), ("shift", 0.1)):
            if not 0 <= getattr(self, name) <= high:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be from 0 to {high:g}")
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
    screen: Screen | None = None
    texture: Texture | None = None
    sharpening: Sharpening | None = None
    codec: Codec | None = None


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Everything that will happen to one picture."""

    passes: tuple[DrawnPass, ...] = ()
    flip: bool = False
    placing: Placing | None = None
    grey_pair: bool = False
    tone_pair: Tone | None = None
    grey: bool = False
    sepia: bool = False
    fade: Tone | None = None
    banding: int = 0
    marks: tuple[tuple[float, ...], ...] = field(default=())
    """Segments (x0, y0, x1, y1, width, brightness) as fractions of the side: scratches, strokes."""
    boxes: tuple[tuple[float, ...], ...] = field(default=())
    """Rectangles (x0, y0, x1, y1) to be painted white."""


def draw(ranges: Ranges, seed: int, index: int, size: int) -> Drawn:
    """The damage of sample `index` at `size` pixels; a function of its arguments alone."""
    stream, later, last = Draw(seed, index), Draw(seed, index, _LATER), Draw(seed, index, _LAST)
    flip, grey_pair = stream.chance(ranges.flip), stream.chance(ranges.grey_pair)
    grey, sepia = stream.chance(ranges.grey), stream.chance(ranges.sepia)
    scratched, banded = stream.chance(ranges.scratches), stream.chance(ranges.banding)
    chain = ranges.chains[stream.integer(len(ranges.chains))]
    scale = 1.0 if ranges.measured_at is None else size / ranges.measured_at
    passes = tuple(_draw_pass(p, stream, later, scale) for p in chain)
    marks = tuple(_scratch(stream) for _ in range(1 + stream.integer(8))) if scratched else ()
    levels = 8 + stream.integer(25) if banded else 0
    boxes: tuple[tuple[float, ...], ...] = ()
    if ranges.target == "inpainting":
        marks += tuple(s for _ in range(1 + stream.integer(5)) for s in _stroke(stream))
        boxes = tuple(_box(stream) for _ in range(stream.integer(3)))
    moved = last.chance(ranges.moved_pair)
    toned, faded = later.chance(ranges.toned_pair), later.chance(ranges.faded)
    return Drawn(
        passes=passes,
        flip=flip,
        placing=draw_placing(last, ranges.turn, ranges.enlarge, ranges.shift) if moved else None,
        grey_pair=grey_pair,
        tone_pair=_draw_tone(later, grey=True) if toned else None,
        grey=grey or ranges.target == "colorization",
        sepia=sepia,
        fade=_draw_tone(later, grey=False) if faded and not toned else None,
        banding=levels,
        marks=marks,
        boxes=boxes,
    )


def _draw_pass(ranges: Pass, stream: Draw, later: Draw, scale: float) -> DrawnPass:
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
        quality, first_block = round(stream.uniform(ranges.quality)), later.integer(8) if ranges.blocks_anywhere else 0
        codec = Codec(quality=quality, format="WEBP" if webp else "JPEG", offset=first_block)
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
        screen=_draw_screen(ranges, later, scale),
        texture=_draw_texture(ranges, later),
        sharpening=_draw_sharpening(ranges, later),
        codec=codec,
    )


def _draw_screen(ranges: Pass, stream: Draw, scale: float) -> Screen | None:
    printed, pitch = stream.chance(ranges.halftone), max(2.0, stream.uniform(ranges.dot_pitch) * scale)
    angle, coloured = stream.uniform((-0.2, 0.2)), stream.chance(0.5)
    return Screen(pitch=pitch, angle=angle, coloured=coloured) if printed else None


def _draw_texture(ranges: Pass, stream: Draw) -> Texture | None:
    texture = Texture(
        grain=stream.uniform(ranges.grain) / 255,
        grain_size=stream.uniform(ranges.grain_size),
        colour=stream.uniform(ranges.colour_noise) / 255,
        colour_size=stream.uniform(ranges.colour_noise_size),
        key=stream.key(),
    )
    return texture if texture.grain or texture.colour else None


def _draw_sharpening(ranges: Pass, stream: Draw) -> Sharpening | None:
    happens, amount = stream.chance(ranges.sharpen), stream.uniform(ranges.sharpen_amount)
    radius = stream.uniform(ranges.sharpen_radius)
    return Sharpening(amount=amount, radius=radius) if happens else None


def _draw_tone(stream: Draw, *, grey: bool) -> Tone:
    """Lifted blacks and dull whites, from neutral to as brown as an albumen print, sometimes as blue as a cyanotype."""
    black, white, gamma = stream.uniform((0.0, 0.22)), stream.uniform((0.72, 1.0)), stream.uniform((0.8, 1.3))
    strength, cool = stream.uniform((0.0, 1.0)) * stream.unit(), stream.chance(0.1)
    tint = (0.75, 0.92, 1.0) if cool else (1.0, 0.88, 0.66)
    red, green, blue = (1 - strength * (1 - t) for t in tint)
    return Tone(
        black=(black * red, black * green, black * blue),
        white=(white * red, white * green, white * blue),
        gamma=gamma,
        grey=grey,
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
