"""What befalls pictures before somebody learns from them: grey, small, compressed."""

from __future__ import annotations

import cv2
import numpy as np

_GREY = np.array([0.3, 0.59, 0.11], np.float32)
_SMALLEST = 12  # pixels


def greyed(rng: np.random.Generator, picture: np.ndarray, toned: float = 0.4) -> np.ndarray:
    """`picture` (H, W, 3) float32 without its colours; brown as old prints with the chance `toned`."""
    tint = np.array((1.0, rng.uniform(0.85, 1.0), rng.uniform(0.6, 1.0))) if rng.random() < toned else np.ones(3)
    return (picture @ _GREY)[..., None] * tint.astype(np.float32)


def softened(picture: np.ndarray, factor: float, interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
    """`picture` (H, W, 3) with so many times fewer pixels a side, enlarged again."""
    height, width = picture.shape[:2]
    size = (max(_SMALLEST, int(width / factor)), max(_SMALLEST, int(height / factor)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=interpolation)


def compressed(rng: np.random.Generator, picture: np.ndarray, least: int, beyond: int) -> np.ndarray:
    """`picture` (H, W, 3) uint8 as a JPEG of a quality from `least` to below `beyond` has it."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(least, beyond))]
    decoded = cv2.imdecode(cv2.imencode(".jpg", picture, quality)[1], cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded
