"""Restores sharp faces of many sizes by default, as they are and lightly damaged, and says what became of their detail.

    python docs/scripts/measure_large_faces.py PORTRAIT… [--heights 300 500 800 1200 2000 3000]

PORTRAITS: photographs with one sharp face each. It is shrunk to each height; above its own it is enlarged, and given
fine structure of the photograph itself at its own scale, from other places, so that it is sharp there too. A row: the
face's height, the damage, how much of itself it kept, its detail (correlation of the Laplacians with the sharp face)
and its perceptual distance to the sharp face, input → result, both at the picture's own size.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from gpen_core import FaceRestorer, load_detector, load_model
from gpen_core.images import as_picture, read_picture
from gpen_core.measures.metrics import detail
from gpen_core.measures.perceptual import DetectorFeatures, feature_distance

HEIGHTS = (300, 500, 800, 1200, 2000, 3000)
DAMAGES = ("none", "jpeg 85", "noise 5", "blur 1", "noise 20")
#: Perceptual distance is taken of squares of so many pixels, as the features' reach is.
_TILE = 512


def sharp(portrait: Tensor, scale: float) -> Tensor:
    """(3, H, W): the portrait (3, h, w) in [0, 1] at `scale`, with fine structure of its own where it is enlarged."""
    size = tuple(round(n * scale) for n in portrait.shape[-2:])
    result = F.interpolate(portrait[None], size, mode="bicubic", antialias=True)[0]
    if scale > 1:
        fine = portrait - F.avg_pool2d(F.pad(portrait[None], (2,) * 4, mode="reflect"), 5, 1)[0]
        reach = [(torch.arange(n) + n // 3) % (2 * length) for n, length in zip(size, fine.shape[-2:], strict=True)]
        rows, columns = (torch.minimum(r, 2 * n - 1 - r) for r, n in zip(reach, fine.shape[-2:], strict=True))
        result += fine[:, rows[:, None], columns[None]]
    return result.clamp(0, 1)


def damaged(picture: Tensor, damage: str) -> Tensor:
    """The picture (3, H, W), lightly spoilt."""
    kind, _, amount = damage.partition(" ")
    if kind == "jpeg":
        stream = io.BytesIO()
        Image.fromarray(eight_bits(picture)).save(stream, "JPEG", quality=int(amount))
        return torch.from_numpy(np.array(Image.open(stream))).permute(2, 0, 1) / 255
    if kind == "noise":
        return picture + float(amount) / 255 * torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    if kind == "blur":
        taps = torch.exp(-((torch.arange(-4.0, 5) / float(amount)) ** 2) / 2)
        taps = (taps / taps.sum()).expand(3, 1, 1, -1)
        across = F.conv2d(F.pad(picture[None], (4, 4, 0, 0), mode="reflect"), taps, groups=3)
        return F.conv2d(F.pad(across, (0, 0, 4, 4), mode="reflect"), taps.transpose(2, 3), groups=3)[0]
    return picture


def eight_bits(picture: Tensor) -> np.ndarray:
    """(H, W, 3) uint8."""
    return (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()


def distance(first: Tensor, second: Tensor) -> float:
    """Perceptual, the mean over squares (3, 512, 512) that cover them."""
    side = min(_TILE, *first.shape[-2:])
    measure = feature_distance(DetectorFeatures())
    found = []
    for y in range(0, first.shape[-2] - side + 1, side):
        for x in range(0, first.shape[-1] - side + 1, side):
            pair = (p[None, :, y : y + side, x : x + side] for p in (first, second))
            found.append(float(measure(*pair)))
    return sum(found) / len(found)


def main() -> None:
    """Prints one Markdown row per face, height and damage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("portraits", type=Path, nargs="+")
    parser.add_argument("--heights", type=int, nargs="+", default=HEIGHTS)
    parser.add_argument("--damages", nargs="+", default=DAMAGES)
    arguments = parser.parse_args()
    restorer = FaceRestorer(load_model("gpen-open", device="cpu"), load_detector("gpen-open-detector", device="cpu"))
    print("| portrait | face | damage | kept | detail | perceptual |\n|---|---|---|---|---|---|", flush=True)
    for path in arguments.portraits:
        picture = read_picture(path)
        (face, *_) = restorer.detect(picture)
        whole = torch.from_numpy(picture.pixels.astype(np.float32) / picture.full_scale).permute(2, 0, 1)
        around = face.box.view(2, 2).mean(0), face.height
        (x, y), reach = (round(float(v)) for v in around[0]), round(0.9 * around[1])
        part = whole[:, max(0, y - reach) : y + reach, max(0, x - reach) : x + reach]
        for height in arguments.heights:
            clean = sharp(part, height / face.height)
            for damage in arguments.damages:
                spoilt = eight_bits(damaged(clean, damage))
                result = restorer.restore(spoilt)
                if not result.faces:
                    print(f"| {path.stem} | {height} px | {damage} | no face found | | |", flush=True)
                    continue
                x1, y1, x2, y2 = (round(v) for v in result.faces[0].box.clamp(min=0).tolist())
                inner = [
                    torch.from_numpy(p[y1:y2, x1:x2].astype(np.float32) / 255).permute(2, 0, 1)
                    for p in (eight_bits(clean), spoilt, as_picture(result.picture).pixels)
                ]
                details = [float(detail(p[None], inner[0][None])) for p in inner[1:]]
                apart = [distance(p, inner[0]) for p in inner[1:]]
                kept = result.faces[0].kept
                cells = [path.stem, f"{height} px", damage, "-" if kept is None else f"{kept:.2f}"]
                cells += [f"{details[0]:.3f} → {details[1]:.3f}", f"{apart[0]:.4f} → {apart[1]:.4f}"]
                print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
