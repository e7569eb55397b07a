"""Pictures without faces: procedural textures, and pieces of free photographs that scikit-image carries."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

Generator = np.random.Generator
Picture = np.ndarray  # (H, W, 3) RGB uint8

# All public domain or CC0 by scikit-image's own account, none with a face in it.
PHOTOGRAPHS = (
    "brick",
    "grass",
    "gravel",
    "chelsea",
    "coffee",
    "rocket",
    "hubble_deep_field",
    "coins",
    "page",
    "text",
    "moon",
)


def read_photographs() -> list[Picture]:
    """The free photographs, as RGB."""
    import skimage.data

    found = []
    for name in PHOTOGRAPHS:
        picture = getattr(skimage.data, name)()
        found.append(
            np.ascontiguousarray(picture[..., :3] if picture.ndim == 3 else np.repeat(picture[..., None], 3, -1))
        )
    return found


def fractal(rng: Generator, height: int, width: int, channels: int = 1) -> np.ndarray:
    """Noise (height, width, channels) float32 in [0, 1] whose octaves fall off by a random slope."""
    total = np.zeros((height, width, channels), np.float32)
    fall = rng.uniform(0.35, 0.95)
    stretch = rng.choice([1.0, 1.0, 1.0, 3.0, 0.33])
    first = rng.integers(1, 4)
    for octave in range(first, 8):
        rows, columns = int(2**octave * stretch) + 1, int(2**octave / stretch) + 1
        if rows > height or columns > width:
            break
        noise = rng.standard_normal((rows, columns, channels), dtype=np.float32)
        total += fall ** (octave - first) * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).reshape(
            total.shape
        )
    low, high = np.percentile(total[::8, ::8], (2, 98))
    result: np.ndarray = np.clip((total - low) / max(high - low, 1e-6), 0, 1)
    return result


def _palette(rng: Generator, count: int) -> np.ndarray:
    """Colours (count, 3) of one mood, skin tones among them more often than chance."""
    if rng.random() < 0.25:
        tone = np.array([rng.uniform(60, 240), 0.0, 0.0])
        tone[1:] = tone[0] * rng.uniform((0.6, 0.45), (0.85, 0.75))
    else:
        tone = rng.uniform(0, 255, 3)
    return np.clip(tone + rng.normal(0, rng.uniform(10, 80), (count, 3)), 0, 255)


def clouds(rng: Generator, height: int, width: int) -> Picture:
    """Fractal noise looked up in a palette: cloud, marble, plaster, skin."""
    steps = _palette(rng, int(rng.integers(2, 6)))
    position = fractal(rng, height, width)[..., 0] * (len(steps) - 1)
    at = np.linspace(0, len(steps) - 1, 256)
    table = np.stack([np.interp(at, np.arange(len(steps)), steps[:, c]) for c in range(3)], -1)
    return table.astype(np.uint8)[(position * 255 / (len(steps) - 1)).astype(np.uint8)]


def studio(rng: Generator, height: int, width: int) -> Picture:
    """A plain wall with a gradient."""
    corners = _palette(rng, 4).reshape(2, 2, 3).astype(np.float32)
    if rng.random() < 0.5:
        corners = corners * 0.2 + corners.mean((0, 1)) * 0.8
    return np.clip(cv2.resize(corners, (width, height), interpolation=cv2.INTER_LINEAR), 0, 255).astype(np.uint8)


def weave(rng: Generator, height: int, width: int) -> Picture:
    """Stripes, checks and fabric."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    total = np.zeros((height, width), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        angle, period = rng.uniform(0, np.pi), float(np.exp(rng.uniform(np.log(4), np.log(120))))
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period)
        total += np.sign(wave) if rng.random() < 0.5 else wave
    total = (total - total.min()) / max(float(np.ptp(total)), 1e-6)
    first, second = _palette(rng, 2)
    woven: Picture = (first + (second - first) * total[..., None]).astype(np.uint8)
    return woven


def _scatter(rng: Generator, canvas: Picture, count: int, largest: float, kinds: Sequence[str]) -> Picture:
    height, width = canvas.shape[:2]
    colours = _palette(rng, 6)
    for _ in range(count):
        colour = [float(v) for v in np.clip(colours[rng.integers(6)] + rng.normal(0, 15, 3), 0, 255)]
        centre = (int(rng.uniform(0, width)), int(rng.uniform(0, height)))
        radius = np.maximum(1, np.exp(rng.uniform(np.log(2), np.log(largest), 2))).astype(int)
        kind = kinds[int(rng.integers(len(kinds)))]
        if kind == "ellipse":
            size = (int(radius[0]), int(radius[1]))
            cv2.ellipse(canvas, centre, size, rng.uniform(0, 180), 0, 360, colour, -1, cv2.LINE_AA)
        elif kind == "box":
            cv2.rectangle(canvas, centre, (centre[0] + int(radius[0]) * 2, centre[1] + int(radius[1]) * 2), colour, -1)
        elif kind == "line":
            end = (int(centre[0] + rng.normal(0, largest)), int(centre[1] + rng.normal(0, largest)))
            cv2.line(canvas, centre, end, colour, int(rng.integers(1, 5)), cv2.LINE_AA)
        else:
            letters = "".join(chr(c) for c in rng.integers(48, 123, int(rng.integers(2, 12))))
            cv2.putText(
                canvas, letters, centre, int(rng.integers(0, 8)), rng.uniform(0.3, 2.5), colour, int(rng.integers(1, 4))
            )
    return canvas


def foliage(rng: Generator, height: int, width: int) -> Picture:
    """Hundreds of small leaves, pebbles, bokeh."""
    return _scatter(rng, studio(rng, height, width), int(rng.integers(100, 500)), rng.uniform(6, 30), ("ellipse",))


def furniture(rng: Generator, height: int, width: int) -> Picture:
    """Boxes, lines and ellipses of all sizes: rooms, streets, shelves."""
    return _scatter(
        rng, studio(rng, height, width), int(rng.integers(10, 80)), width / 3, ("box", "box", "line", "ellipse")
    )


def writing(rng: Generator, height: int, width: int) -> Picture:
    """Letters on a wall."""
    return _scatter(rng, studio(rng, height, width), int(rng.integers(5, 40)), 40, ("text", "text", "line"))


def dolls(rng: Generator, height: int, width: int) -> Picture:
    """Ovals with a few dots and strokes, like a face only at a glance."""
    canvas = clouds(rng, height, width)
    for _ in range(int(rng.integers(1, 8))):
        radius = int(np.exp(rng.uniform(np.log(6), np.log(width / 4))))
        centre = rng.uniform(0, (width, height)).astype(int)
        colours = _palette(rng, 3)
        axes = (radius, int(radius * rng.uniform(0.8, 1.5)))
        cv2.ellipse(
            canvas,
            (int(centre[0]), int(centre[1])),
            axes,
            rng.uniform(-40, 40),
            0,
            360,
            colours[0].tolist(),
            -1,
            cv2.LINE_AA,
        )
        for _ in range(int(rng.integers(0, 4))):
            spot = (centre + rng.normal(0, radius * 0.5, 2)).astype(int)
            size = (max(1, int(radius * rng.uniform(0.05, 0.35))), max(1, int(radius * rng.uniform(0.05, 0.3))))
            cv2.ellipse(canvas, (int(spot[0]), int(spot[1])), size, 0, 0, 360, colours[1].tolist(), -1, cv2.LINE_AA)
    return canvas


def photograph(rng: Generator, height: int, width: int, photographs: Sequence[Picture]) -> Picture:
    """A random piece of one of the photographs, mirrored and recoloured."""
    source = photographs[int(rng.integers(len(photographs)))]
    side = int(min(source.shape[:2]) * rng.uniform(0.3, 1.0))
    top, left = (int(rng.integers(0, n - side + 1)) for n in source.shape[:2])
    piece = cv2.resize(source[top : top + side, left : left + side], (width, height), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        piece = piece[:, ::-1]
    if rng.random() < 0.3:
        piece = piece[..., rng.permutation(3)]
    gain, lift = rng.uniform(0.5, 1.3, 3), rng.uniform(-30, 40)
    return np.clip(piece * gain + lift, 0, 255).astype(np.uint8)


TEXTURES: tuple[Callable[[Generator, int, int], Picture], ...] = (
    clouds,
    studio,
    weave,
    foliage,
    furniture,
    writing,
    dolls,
)


def background(rng: Generator, height: int, width: int, photographs: Sequence[Picture] = ()) -> Picture:
    """A picture (height, width, 3) without a face: one texture, or two that meet along a ragged edge."""

    def layer() -> Picture:
        if len(photographs) and rng.random() < 0.35:
            return photograph(rng, height, width, photographs)
        return TEXTURES[rng.integers(len(TEXTURES))](rng, height, width)

    canvas = layer()
    if rng.random() < 0.5:
        where = np.clip((fractal(rng, height, width) - 0.5) * rng.uniform(2, 40) + 0.5, 0, 1)
        canvas = (canvas + (layer().astype(np.float32) - canvas) * where).astype(np.uint8)
    return np.ascontiguousarray(canvas)
