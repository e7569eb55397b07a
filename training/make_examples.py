"""Makes the pictures that ship: python training/make_examples.py [--originals DIR]

The source is scikit-image's astronaut: NASA's portrait of Eileen Collins, in the public domain. It is damaged in two
ways that photographs are: sent around too often, and kept in a drawer for too long. The same seed makes the same files.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import skimage.data

ROOT = Path(__file__).parent.parent
OUT, FOR_NODES = ROOT / "gpen_core" / "examples", ROOT / "nodes" / "examples"


def sent_around(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blurred, shrunk to a third, noisy, compressed, and enlarged again."""
    height, width = picture.shape[:2]
    small = cv2.resize(cv2.GaussianBlur(picture, (0, 0), 1.5), (width // 3, height // 3), interpolation=cv2.INTER_AREA)
    noisy = np.clip(small + rng.normal(0, 6, small.shape), 0, 255).astype(np.uint8)
    coded = cv2.imdecode(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)
    assert coded is not None
    return cv2.resize(coded, (width, height), interpolation=cv2.INTER_LINEAR)


def kept_in_a_drawer(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Grey, soft, grainy, faded and scratched."""
    height, width = picture.shape[:2]
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), (0, 0), 2.0).astype(np.float32)
    grain = cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), (0, 0), 0.8)
    faded = 40 + grey * 0.75 + grain * 14
    for _ in range(12):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        end = (int(x + rng.normal(0, 4)), int(y + rng.normal(0, 80)))
        cv2.line(faded, (int(x), int(y)), end, float(rng.uniform(170, 240)), 1, cv2.LINE_AA)
    levels: np.ndarray = np.clip(faded, 0, 255).astype(np.uint8)
    return levels


def two_prints(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two prints, one smaller and mirrored, with white edges on a wooden desk."""
    height, width = 360, 640
    rows = cv2.GaussianBlur(rng.standard_normal((height, 1)).astype(np.float32), (1, 9), 0)
    grain = np.repeat(rows, width, 1) + 0.3 * cv2.GaussianBlur(
        rng.standard_normal((height, width)).astype(np.float32), (31, 1), 0
    )
    desk: np.ndarray = np.clip(np.array([52, 84, 118], np.float32) + 14 * grain[..., None], 0, 255).astype(np.uint8)
    for print_, side, x, y in ((first, 300, 18, 30), (second[:, ::-1], 220, 366, 80)):
        print_ = print_ if print_.ndim == 3 else cv2.cvtColor(print_, cv2.COLOR_GRAY2BGR)
        desk[y - 8 : y + side + 8, x - 8 : x + side + 8] = 236
        desk[y : y + side, x : x + side] = cv2.resize(print_, (side, side), interpolation=cv2.INTER_AREA)
    return desk


def painted_over(picture: np.ndarray) -> np.ndarray:
    """White strokes over a cheek and the mouth, to be filled."""
    painted: np.ndarray = picture.copy()
    cv2.line(painted, (150, 128), (196, 160), (255, 255, 255), 9)
    cv2.line(painted, (186, 120), (158, 166), (255, 255, 255), 7)
    return painted


def main() -> None:
    """Writes the examples, and the undamaged original where asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--for-nodes", type=Path, default=FOR_NODES, help="where those go that only graphs need")
    parser.add_argument("--originals", type=Path, help="folder for the undamaged picture, that tests compare with")
    options = parser.parse_args()
    picture = skimage.data.astronaut()[:, :, ::-1][:320, 60:380]
    rng = np.random.default_rng(1)
    options.out.mkdir(parents=True, exist_ok=True)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 85]
    cv2.imwrite(str(options.out / "sent-around.jpg"), sent_around(picture, rng), quality)
    cv2.imwrite(str(options.out / "kept-in-a-drawer.jpg"), kept_in_a_drawer(picture, rng), quality)
    options.for_nodes.mkdir(parents=True, exist_ok=True)
    prints = two_prints(sent_around(picture, rng), kept_in_a_drawer(picture, rng), rng)
    cv2.imwrite(str(options.for_nodes / "two-prints.jpg"), prints, quality)
    cv2.imwrite(str(options.for_nodes / "painted-over.jpg"), painted_over(picture), quality)
    if options.originals is not None:
        cv2.imwrite(str(options.originals / "astronaut.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 92])


if __name__ == "__main__":
    main()
