"""Faces with something before them, and where that is: composed anew at every step."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from gpen_core.faces.occluder import SIDE
from training.detector.backgrounds import Generator, Picture, fractal
from training.reading import read_rgb
from training.spoiling import compressed, greyed, softened

#: Scenes are composed at this size, and shrunk to what the network sees.
COMPOSED = 2 * SIDE
#: What is in front of nothing: without such faces everything would be called covered.
_UNCOVERED = 0.2


def read_faces(folder: Path) -> list[Picture]:
    """Every aligned face of a folder, (160, 160, 3)."""
    faces = []
    for path in sorted(folder.glob("*.jpg")):
        face = read_rgb(path)
        faces.append(cv2.resize(face, (COMPOSED + 32,) * 2, interpolation=cv2.INTER_AREA))
    return faces


def compose(rng: Generator, faces: list[Picture]) -> tuple[Picture, np.ndarray]:
    """A face (64, 64, 3) uint8, as damaged as photographs are, and where it is covered, (64, 64) in [0, 1]."""
    face: np.ndarray = _placed(rng, faces[rng.integers(len(faces))], 0.06).astype(np.float32)
    mask: np.ndarray = np.zeros((COMPOSED, COMPOSED), np.float32)
    if rng.random() >= _UNCOVERED:
        for _ in range(1 if rng.random() < 0.75 else 2):
            part = _shape(rng)
            stuff = _stuff(rng, face, faces[rng.integers(len(faces))])
            if rng.random() < 0.3:  # what is near throws a shadow
                shadow = cv2.GaussianBlur(np.roll(part, rng.integers(-4, 5, 2), (0, 1)), (0, 0), rng.uniform(2, 6))
                face *= 1 - rng.uniform(0.1, 0.5) * shadow[..., None]
            soft = cv2.GaussianBlur(part, (0, 0), rng.uniform(0.4, 1.4))[..., None]
            face = face * (1 - soft) + stuff * soft
            mask = np.maximum(mask, part)
    # One pixel more than what covers: its edge is as little the face's.
    mask = cv2.dilate(mask, np.ones((3, 3), np.uint8))
    small = cv2.resize(_damaged(rng, face), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.clip(small, 0, 255).astype(np.uint8), cv2.resize(mask, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def _placed(rng: Generator, picture: Picture, spread: float, turn: float = 0.08) -> Picture:
    """(128, 128, 3): the picture moved, turned, enlarged and mirrored."""
    side = picture.shape[0]
    angle, scale = rng.normal(0, turn), COMPOSED / side * np.exp(rng.normal(0.03, spread))
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = linear @ np.diag([rng.choice([-1.0, 1.0]), 1.0])
    shift = (COMPOSED - 1) / 2 + rng.normal(0, spread * COMPOSED / 2, 2) - linear @ np.full(2, (side - 1) / 2)
    return cv2.warpAffine(
        picture,
        np.column_stack([linear, shift]),
        (COMPOSED, COMPOSED),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )


def _shape(rng: Generator) -> np.ndarray:
    """(128, 128) zeros and ones: a blob, a few bars side by side, a corner of something, or what lies over one side."""
    mask, kind = np.zeros((COMPOSED, COMPOSED), np.uint8), rng.random()
    centre = rng.uniform(0.15, 0.85, 2) * COMPOSED
    if kind < 0.35:
        angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        radius = rng.uniform(8, 34) * np.ones(48)
        for wave in range(2, 6):
            radius *= 1 + rng.normal(0, 0.25 / wave) * np.cos(wave * angles + rng.uniform(0, 2 * np.pi))
        stretch = np.exp(rng.normal(0, 0.35))
        points = centre + np.stack([radius * np.cos(angles) * stretch, radius * np.sin(angles) / stretch], 1)
        cv2.fillPoly(mask, [points.round().astype(np.int32)], 1)
    elif kind < 0.65:
        angle, thickness = rng.uniform(0, 2 * np.pi), rng.uniform(4, 18)
        along = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([-along[1], along[0]])
        for bar in range(rng.integers(1, 5)):
            start = centre + across * bar * thickness * rng.uniform(0.9, 1.25)
            end = start + (along + across * rng.normal(0, 0.12)) * rng.uniform(25, 130)
            cv2.line(mask, _pixel(start), _pixel(end), 1, max(1, round(thickness * rng.uniform(0.8, 1.1))))
    elif kind < 0.8:
        size, angle = rng.uniform(12, 60, 2), rng.uniform(0, 180)
        box = cv2.boxPoints(((float(centre[0]), float(centre[1])), (float(size[0]), float(size[1])), angle))
        cv2.fillPoly(mask, [box.round().astype(np.int32)], 1)
    else:
        place = np.arange(COMPOSED)
        edge = rng.uniform(0.08, 0.5) * COMPOSED + rng.normal(0, 0.15) * (place - COMPOSED / 2)
        for wave in (1, 2, 3):
            edge = edge + rng.normal(0, 8 / wave) * np.sin(wave * np.pi * place / COMPOSED + rng.uniform(0, 6))
        mask = (place[None] < edge[:, None]).astype(np.uint8)
        if rng.random() < 0.3:  # a mask or a scarf ends before the crop does
            mask &= (place[None] > (edge - rng.uniform(25, 60))[:, None]).astype(np.uint8)
        mask = np.rot90(mask, rng.choice([0, 1, 1, 2, 3]))
    return np.ascontiguousarray(mask).astype(np.float32)


def _pixel(point: np.ndarray) -> tuple[int, int]:
    return int(point[0]), int(point[1])


def _stuff(rng: Generator, face: np.ndarray, other: Picture) -> np.ndarray:
    """(128, 128, 3): a piece of another photograph, skin, cloth, or one colour in some light."""
    kind = rng.random()
    if kind < 0.45:
        return _placed(rng, other, 0.5, turn=2.0).astype(np.float32)
    if kind < 0.75:
        source = face if rng.random() < 0.5 else other.astype(np.float32)
        row, column = rng.integers(50, 90, 2)
        colour = source[row - 4 : row + 5, column - 4 : column + 5].mean((0, 1)) * rng.uniform(0.75, 1.2)
    else:
        colour = rng.uniform(0, 255, 3) if rng.random() < 0.6 else np.full(3, rng.uniform(0, 255))
    result: np.ndarray = np.broadcast_to(colour.astype(np.float32), (COMPOSED, COMPOSED, 3)).copy()
    place = np.mgrid[:COMPOSED, :COMPOSED].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    along = place[0] * np.cos(angle) + place[1] * np.sin(angle)
    result *= (1 + rng.normal(0, 0.35) * (along / COMPOSED - 0.5))[..., None]
    if rng.random() < 0.5:
        result += rng.uniform(5, 45) * np.sin(along * rng.uniform(0.15, 1.6))[..., None]
    if rng.random() < 0.5:
        result += rng.uniform(5, 70) * (fractal(rng, COMPOSED, COMPOSED, 1) - 0.5)
    clipped: np.ndarray = np.clip(result, 0, 255)
    return clipped


def _damaged(rng: Generator, picture: np.ndarray) -> np.ndarray:
    """Dimmed, tinted, blurred, small, noisy, compressed: each now and then."""
    if rng.random() < 0.25:
        picture = greyed(rng, picture, toned=0)
    if rng.random() < 0.5:
        picture = picture * rng.uniform(0.75, 1.15, 3 if rng.random() < 0.5 else 1) + rng.uniform(-15, 15)
    if rng.random() < 0.5:
        picture = cv2.GaussianBlur(picture, (0, 0), np.exp(rng.uniform(np.log(0.5), np.log(5))))
    if rng.random() < 0.4:
        picture = softened(picture, rng.uniform(1.2, 6))
    if rng.random() < 0.5:
        picture = picture + rng.standard_normal(picture.shape, dtype=np.float32) * rng.uniform(1, 25)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    return compressed(rng, picture, 25, 95) if rng.random() < 0.5 else picture
