"""Scenes with known faces: aligned crops pasted at any size and angle onto pictures without faces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from training.reading import read_rgb
from training.spoiling import compressed, greyed, softened

from .backgrounds import Generator, Picture, background, fractal
from .labels import MIRRORED_LANDMARKS

SIDE = 256
SMALLEST_LABELLED = 9.0  # pixels of the box; smaller faces neither count as faces nor as background


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A picture (H, W, 3) RGB uint8, boxes (N, 4), landmarks (N, 5, 2); wanted (N,): which faces are to be found."""

    picture: Picture
    boxes: np.ndarray
    landmarks: np.ndarray
    wanted: np.ndarray


class Faces:
    """Aligned faces with their boxes and landmarks, each kept at 256, 128, 64 and 32 px for clean shrinking."""

    def __init__(self, folder: Path, labels: Path) -> None:
        stored = np.load(labels)
        self.boxes, self.landmarks = stored["boxes"], stored["landmarks"]
        self.levels: list[list[Picture]] = []
        for name in stored["names"]:
            level = [read_rgb(folder / name)]
            while level[-1].shape[0] > 32:
                level.append(cv2.resize(level[-1], None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
            self.levels.append(level)

    def __len__(self) -> int:
        return len(self.levels)

    def pick(self, rng: Generator) -> tuple[list[Picture], np.ndarray, np.ndarray]:
        """Levels, box (4,) and landmarks (5, 2) of a random face, mirrored half of the time."""
        index = int(rng.integers(len(self)))
        levels, box, points = self.levels[index], self.boxes[index].copy(), self.landmarks[index].copy()
        if rng.random() < 0.5:
            levels = [np.ascontiguousarray(level[:, ::-1]) for level in levels]
            box[[0, 2]] = SIDE - 1 - box[[2, 0]]
            points = points[MIRRORED_LANDMARKS]
            points[:, 0] = SIDE - 1 - points[:, 0]
        return levels, box, points


def _cutout(rng: Generator, box: np.ndarray) -> np.ndarray:
    """How much of an aligned crop is pasted, (256, 256) in [0, 1]: the head, head and shoulders, or all of it."""
    mask = np.zeros((SIDE, SIDE), np.float32)
    kind = rng.random()
    if kind < 0.2:
        mask[:] = 1
        softness = 0.0 if rng.random() < 0.5 else rng.uniform(2, 10)
        if softness:
            edge = int(softness * 2)
            mask[:edge] = mask[-edge:] = mask[:, :edge] = mask[:, -edge:] = 0
    else:
        centre = (int((box[0] + box[2]) / 2), int((box[1] + box[3]) / 2 - rng.uniform(2, 14)))
        grow = rng.uniform(1.0, 1.45)
        axes = (int((box[2] - box[0]) / 2 * grow * 1.15), int((box[3] - box[1]) / 2 * grow * 1.15))
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 1.0, -1)
        if kind > 0.45:
            top, half = int(box[3] - 12), rng.uniform(0.3, 0.5) * SIDE
            cv2.fillConvexPoly(
                mask,
                np.array(
                    [[centre[0] - 30, top], [centre[0] + 30, top], [centre[0] + half, SIDE], [centre[0] - half, SIDE]],
                    np.int32,
                ),
                1.0,
            )
        softness = rng.uniform(1, 9)
    return cv2.GaussianBlur(mask, (0, 0), softness) if softness else mask


def _shuffled(rng: Generator, levels: list[Picture], box: np.ndarray) -> list[Picture]:
    """The same pixels with the face's tiles in another order: what skin and hair look like where there is no face."""
    tiles = int(rng.integers(3, 6))
    order = rng.permutation(tiles * tiles)
    left, top = (int(v) // 8 * 8 for v in box[:2])
    step = max(8, int(max(box[2] - box[0], box[3] - box[1])) // tiles // 8 * 8)
    result = [level.copy() for level in levels]
    for level, source in zip(result, levels, strict=True):
        f = SIDE // level.shape[0]
        n, y0, x0 = step // f, max(0, top // f), max(0, left // f)
        for position, tile in enumerate(order):
            y, x = y0 + position // tiles * n, x0 + position % tiles * n
            v, u = y0 + tile // tiles * n, x0 + tile % tiles * n
            target = level[y : y + n, x : x + n]
            piece = source[v : v + n, u : u + n]
            h, w = min(target.shape[0], piece.shape[0]), min(target.shape[1], piece.shape[1])
            target[:h, :w] = piece[:h, :w]
    return result


def _paste(canvas: Picture, levels: list[Picture], mask: np.ndarray, matrix: np.ndarray) -> None:
    """Lays the crop under `mask` onto the canvas; matrix (2, 3) takes crop pixels (at 256) to canvas pixels."""
    corners = matrix[:, :2] @ np.array([[0, SIDE, 0, SIDE], [0, 0, SIDE, SIDE]], float) + matrix[:, 2:]
    height, width = canvas.shape[:2]
    x0, y0 = np.maximum(np.floor(corners.min(1)), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(corners.max(1)) + 1, (width, height)).astype(int)
    if x1 <= x0 or y1 <= y0:
        return
    scale = np.hypot(matrix[0, 0], matrix[1, 0])
    level = int(np.clip(np.floor(-np.log2(max(scale, 1e-6))), 0, len(levels) - 1))
    f = 2.0**level  # crop pixel p of level 0 is (p + 0.5) / f - 0.5 of this one
    m = matrix.copy()
    m[:, 2] += m[:, :2] @ np.full(2, f / 2 - 0.5) - (x0, y0)
    m[:, :2] *= f
    size = (int(x1 - x0), int(y1 - y0))
    face = cv2.warpAffine(levels[level], m, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    small = cv2.resize(mask, levels[level].shape[1::-1], interpolation=cv2.INTER_AREA) if level else mask
    alpha = cv2.warpAffine(small, m, size, flags=cv2.INTER_LINEAR)[..., None]
    spot = canvas[y0:y1, x0:x1]
    spot[:] = (spot + (face.astype(np.float32) - spot) * alpha + 0.5).astype(np.uint8)


def _recolour(rng: Generator, levels: list[Picture]) -> list[Picture]:
    if rng.random() < 0.4:
        return levels
    table = np.arange(256) / 255.0
    gamma, gain = (
        np.exp(rng.normal(0, 0.3)),
        rng.uniform(0.6, 1.15, 3) if rng.random() < 0.5 else np.full(3, rng.uniform(0.5, 1.15)),
    )
    lookup = np.clip(table[:, None] ** gamma * gain * 255, 0, 255).astype(np.uint8)
    return [np.stack([lookup[level[..., c], c] for c in range(3)], -1) for level in levels]


def _cover(rng: Generator, canvas: Picture, box: np.ndarray) -> None:
    """Hides up to about a third of a face behind something."""
    w, h = box[2] - box[0], box[3] - box[1]
    side = int(rng.integers(4))
    depth = rng.uniform(0.1, 0.35)
    x0, y0, x1, y1 = box[0] - w * 0.4, box[1] - h * 0.4, box[2] + w * 0.4, box[3] + h * 0.4
    if side == 0:
        x1 = box[0] + w * depth
    elif side == 1:
        x0 = box[2] - w * depth
    elif side == 2:
        y0 = box[3] - h * depth
    else:
        y1 = box[1] + h * depth * 0.8
    x0, x1 = np.clip((x0, x1), 0, canvas.shape[1]).astype(int)
    y0, y1 = np.clip((y0, y1), 0, canvas.shape[0]).astype(int)
    if x1 - x0 > 2 and y1 - y0 > 2:
        canvas[y0:y1, x0:x1] = cv2.resize(background(rng, 96, 96), (int(x1 - x0), int(y1 - y0)))


def _body(rng: Generator, canvas: Picture, x: float, y: float, side: float) -> None:
    """Clothes, a collar and hands under a face of that place and size: what stands near faces and is none."""
    dark = rng.uniform(0, 90, 3) if rng.random() < 0.6 else rng.uniform(0, 255, 3)
    top, half, length = y + side * 0.55, side * rng.uniform(0.8, 1.5), side * rng.uniform(1.5, 4)
    neck = side * 0.3
    outline = [
        (x - neck, top),
        (x + neck, top),
        (x + half, top + side * 0.5),
        (x + half * 1.1, top + length),
        (x - half * 1.1, top + length),
        (x - half, top + side * 0.5),
    ]
    cv2.fillPoly(canvas, [np.array(outline, np.int32)], dark.tolist(), cv2.LINE_AA)
    if rng.random() < 0.7:
        collar = [(x - neck, top), (x + neck, top), (x, top + side * rng.uniform(0.5, 1.2))]
        cv2.fillPoly(canvas, [np.array(collar, np.int32)], rng.uniform(150, 255, 3).tolist(), cv2.LINE_AA)
        if rng.random() < 0.5:
            cv2.line(
                canvas,
                (int(x), int(top)),
                (int(x), int(top + side)),
                dark.tolist(),
                max(1, int(side * 0.12)),
                cv2.LINE_AA,
            )
    for _ in range(int(rng.integers(0, 3))):
        hand = (int(x + rng.normal(0, side * 0.8)), int(top + rng.uniform(0.6, 1.0) * length))
        size = (max(1, int(side * rng.uniform(0.15, 0.4))), max(1, int(side * rng.uniform(0.12, 0.3))))
        skin = rng.uniform(120, 230) * np.array((1.0, 0.8, 0.68))
        cv2.ellipse(canvas, hand, size, rng.uniform(0, 180), 0, 360, skin.tolist(), -1, cv2.LINE_AA)


def age(rng: Generator, picture: Picture) -> Picture:
    """The finished scene as a camera, a scanner or time would give it: grey, soft, grainy, compressed."""
    height, width = picture.shape[:2]
    kind = rng.random()
    result: np.ndarray = picture.astype(np.float32)
    if kind < 0.35:
        result = greyed(rng, result)
    if rng.random() < 0.4:
        result = softened(result, rng.uniform(1.0, 2.2), int(rng.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC])))
    elif rng.random() < 0.2:
        result = cv2.GaussianBlur(result, (0, 0), rng.uniform(0.4, 2.0))
    if rng.random() < 0.6:
        result = (result - 128) * rng.uniform(0.5, 1.3) + 128 + rng.uniform(-35, 35)
    if rng.random() < 0.2:
        result *= 0.4 + 0.8 * fractal(rng, height, width)
    if rng.random() < 0.5:
        grain: np.ndarray = rng.standard_normal((height, width, 1 if kind < 0.35 else 3), dtype=np.float32)
        if rng.random() < 0.4:
            grain = cv2.GaussianBlur(grain, (0, 0), 0.8).reshape(grain.shape) * 2
        result += grain * rng.uniform(1, 16)
    result = np.clip(result, 0, 255).astype(np.uint8)
    return compressed(rng, result, 35, 96) if rng.random() < 0.5 else result


def _layout(rng: Generator, height: int, width: int) -> list[tuple[float, float, float]]:
    """Centre x, centre y and box side of the faces: nobody, a portrait, rows of people, or people anywhere."""
    kind, short = rng.random(), min(height, width)
    if kind < 0.08:
        return []
    if kind < 0.35:
        side = short * rng.uniform(0.25, 0.85)
        return [(width * rng.uniform(0.35, 0.65), height * rng.uniform(0.35, 0.65), side)]
    if kind < 0.6:
        side = float(np.exp(rng.uniform(np.log(14), np.log(short / 4))))
        pitch = side * rng.uniform(1.5, 2.6)
        rows, columns = max(1, min(4, int(height / (pitch * 1.4)))), max(2, min(9, int(width / pitch)))
        top, left = rng.uniform(0.4, 1.0) * pitch, rng.uniform(0.3, 1.0) * pitch
        return [
            (
                left + (c + 0.5 * (r % 2)) * pitch + rng.normal(0, side * 0.2),
                top + r * pitch * 1.3 + rng.normal(0, side * 0.2),
                side * rng.uniform(0.85, 1.15),
            )
            for r in range(rows)
            for c in range(columns)
        ]
    count = int(rng.integers(1, 9))
    sides = np.exp(rng.uniform(np.log(12), np.log(short / 2), count))
    return [(rng.uniform(0, width), rng.uniform(0, height), float(s)) for s in sorted(sides)[::-1]]


def paste_face(
    rng: Generator,
    canvas: Picture,
    faces: Faces,
    place: tuple[float, float],
    side: float,
    angle: float,
    alter: Callable[[list[Picture], np.ndarray], list[Picture]] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Box (4,) and landmarks (5, 2) on the canvas of a random face laid there; the box's middle comes to `place` (x,
    y).

    side: root of the box's area, pixels. angle: radians. alter: the face's levels and box to the levels to be pasted.
    """
    levels, box, landmarks = faces.pick(rng)
    scale = side / np.sqrt((box[2] - box[0]) * (box[3] - box[1]))
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.concatenate([linear, (np.array(place) - linear @ ((box[:2] + box[2:]) / 2))[:, None]], 1)
    mask = _cutout(rng, box)
    _paste(canvas, levels if alter is None else alter(levels, box), mask, matrix)
    # A face that turns keeps a square-on box: its middle turns with it, its extent hardly changes.
    half = scale * (box[2:] - box[:2]) / 2
    return np.concatenate([np.subtract(place, half), np.add(place, half)]), landmarks @ linear.T + matrix[:, 2]


def compose(rng: Generator, height: int, width: int, faces: Faces, photographs: Sequence[Picture] = ()) -> Scene:
    """A random scene of that size; the same `rng` state gives the same scene."""
    canvas = background(rng, height, width, photographs)
    boxes: list[np.ndarray] = []
    points: list[np.ndarray] = []
    taken: list[tuple[float, float, float]] = []
    wanted: list[bool] = []
    decoy = rng.uniform(0, 0.4) if rng.random() < 0.4 else 0.0
    places = _layout(rng, height, width)
    if rng.random() < 0.5:
        for x, y, side in places:
            _body(rng, canvas, x, y, side)
    for x, y, side in places:
        if any(np.hypot(x - a, y - b) < 0.75 * (side + s) for a, b, s in taken):
            continue
        angle = rng.normal(0, 0.22) if rng.random() < 0.85 else rng.uniform(-0.8, 0.8)
        taken.append((x, y, side))
        if rng.random() < decoy:
            paste_face(rng, canvas, faces, (x, y), side, angle, alter=lambda f, b: _recolour(rng, _shuffled(rng, f, b)))
            continue
        placed, landmarks = paste_face(rng, canvas, faces, (x, y), side, angle, alter=lambda f, _: _recolour(rng, f))
        if rng.random() < 0.12:
            _cover(rng, canvas, placed)
        inside = np.clip(placed, 0, (width, height, width, height))
        visible = np.prod(inside[2:] - inside[:2]) / np.prod(placed[2:] - placed[:2])
        if visible > 0.15:
            boxes.append(placed)
            points.append(landmarks)
            wanted.append(bool(visible > 0.6 and min(placed[2:] - placed[:2]) >= SMALLEST_LABELLED))
    return Scene(
        picture=age(rng, canvas),
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        landmarks=np.array(points, np.float32).reshape(-1, 5, 2),
        wanted=np.array(wanted, bool),
    )
