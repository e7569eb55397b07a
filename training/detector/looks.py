"""What happens to a crop before the second look learns from it: moved, turned away, covered, damaged."""

from __future__ import annotations

import cv2
import numpy as np

from gpen_core.faces.second_look import SIDE
from training.spoiling import compressed, greyed, softened

from .backgrounds import Generator, Picture
from .candidates import MARGIN


def jittered(rng: Generator, picture: Picture, affine: np.ndarray, strength: float) -> Picture:
    """(64, 64, 3): `picture` through `affine` (2, 3) to a crop with a margin, a little moved, turned, mirrored."""
    angle = rng.normal(0, (0.1 if rng.random() < 0.75 else 0.28) * strength)
    linear = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear *= np.exp(rng.normal(0, 0.08 * strength))
    if rng.random() < 0.3:
        wide, slant = (rng.uniform(0.7, 1), 0.0) if rng.random() < 0.6 else (1.0, rng.normal(0, 0.15))
        linear = linear @ np.array([[wide, slant], [0, 1]])
    if rng.random() < 0.5:
        linear = linear @ np.diag([-1.0, 1.0])
    middle = np.full(2, (SIDE + 2 * MARGIN - 1) / 2)
    offset = (SIDE - 1) / 2 + rng.normal(0, 2.2 * strength, 2) - linear @ middle
    whole = np.column_stack([linear, offset]) @ np.vstack([affine, (0, 0, 1)])
    return cv2.warpAffine(picture, whole, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def _stuff(rng: Generator, other: Picture, share: float) -> Picture:
    """(64, 64, 3) of something, or of one colour."""
    if rng.random() < share:
        return cv2.resize(other, (SIDE, SIDE))
    return np.full((SIDE, SIDE, 3), rng.uniform(0, 255, 3), np.uint8)


def turned(rng: Generator, crop: Picture, other: Picture) -> Picture:
    """As a head turned to one side would be: its far half narrow, and beyond it what is behind."""
    middle, far, near = SIDE / 2 + rng.normal(0, 3), rng.uniform(0.12, 0.7), rng.uniform(0.75, 1.0)
    shift = rng.uniform(-4, 10) * (1 - far)
    across = np.arange(SIDE, dtype=np.float32) + shift
    source = np.where(across > middle, middle + (across - middle) / far, middle - (middle - across) * near)
    down = np.repeat(np.arange(SIDE, dtype=np.float32)[:, None], SIDE, 1)
    columns = np.repeat(source.astype(np.float32)[None], SIDE, 0)
    result = cv2.remap(crop, columns, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    if rng.random() < 0.7:
        rows = np.arange(SIDE)
        nose = 4 * np.exp(-(((rows - 38) / 5) ** 2)) * (1 - far)
        edge = middle + 24 * far - shift + nose + rng.uniform(-2, 2) - ((rows - 32) / 32) ** 2 * 6
        behind = 1 / (1 + np.exp(-(np.arange(SIDE)[None] - edge[:, None]) / rng.uniform(0.4, 1.5)))[..., None]
        result = (result * (1 - behind) + _stuff(rng, other, 0.4) * behind).astype(np.uint8)
    return np.ascontiguousarray(result[:, ::-1]) if rng.random() < 0.5 else result


def covered(rng: Generator, crop: Picture, other: Picture) -> Picture:
    """With glasses, a visor, a scarf or a hand, a hat, or something at one side before it."""
    kind, stuff = rng.random(), _stuff(rng, other, 0.6)
    if kind < 0.3:
        top, depth = int(rng.uniform(16, 24)), int(rng.uniform(5, 17))
        colour = (rng.uniform(0, 70, 3) if rng.random() < 0.7 else rng.uniform(0, 255, 3)).tolist()
        if rng.random() < 0.6:
            for x in (20, 43):
                centre = int(x + rng.normal(0, 1)), int(top + depth / 2)
                axes = int(rng.uniform(7, 11)), max(2, depth // 2 + 1)
                cv2.ellipse(crop, centre, axes, 0, 0, 360, colour, -1, cv2.LINE_AA)
        else:
            cv2.rectangle(crop, (int(rng.uniform(0, 12)), top), (int(rng.uniform(52, 64)), top + depth), colour, -1)
    elif kind < 0.5:
        low = int(rng.uniform(36, 50))
        crop[low:] = stuff[low:]
    elif kind < 0.7:
        high = int(rng.uniform(6, 20))
        crop[:high] = stuff[:high]
    else:
        side = int(rng.uniform(8, 30))
        where = slice(0, side) if rng.random() < 0.5 else slice(SIDE - side, SIDE)
        crop[:, where] = stuff[:, where]
    return crop


def shuffled(rng: Generator, crop: Picture) -> Picture:
    """Its sixteen tiles in another order."""
    step = SIDE // 4
    tiles = crop.reshape(4, step, 4, step, 3).swapaxes(1, 2).reshape(16, step, step, 3)[rng.permutation(16)]
    return np.ascontiguousarray(tiles.reshape(4, 4, step, step, 3).swapaxes(1, 2).reshape(SIDE, SIDE, 3))


def damaged(rng: Generator, crop: Picture) -> Picture:
    """Grey, flat, tinted, lit from one side, small, soft, noisy, compressed: each now and then."""
    values: np.ndarray = crop.astype(np.float32)
    if rng.random() < 0.3:
        values = greyed(rng, values)
    if rng.random() < 0.6:
        mean = values.mean()
        values = (values - mean) * rng.uniform(0.5, 1.4) + mean * rng.uniform(0.5, 1.3) + rng.uniform(-15, 15)
    if rng.random() < 0.3:
        values = values * rng.uniform(0.7, 1.2, 3)
    if rng.random() < 0.25:
        light = np.linspace(rng.uniform(0.2, 1), rng.uniform(0.6, 1.5), SIDE)[None, :, None]
        values = values * (light if rng.random() < 0.7 else light.transpose(1, 0, 2))
    kind = rng.random()
    if kind < 0.35:
        values = softened(values, rng.uniform(1, 3.2) if rng.random() < 0.75 else rng.uniform(3, 5))
    elif kind < 0.55:
        values = cv2.GaussianBlur(values, (0, 0), rng.uniform(0.4, 2.0))
    if rng.random() < 0.35:
        values = values + rng.standard_normal(values.shape, dtype=np.float32) * rng.uniform(1, 18)
    result = np.clip(values, 0, 255).astype(np.uint8)
    return compressed(rng, result, 25, 90) if rng.random() < 0.25 else result
