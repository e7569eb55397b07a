"""Covers faces with things of a known shape, and measures how far restoring changes these and the face around them.

python docs/scripts/measure_occlusion.py FACES [--count 20] [--occluder MODEL] [--seed 5] [--photographs FOLDER]

FACES: a folder of aligned faces. Every fourth scene has a microphone, a cloth mask, a finger, or a piece of another
photograph before the face; every scene is restored as it is and damaged, without `Masking.occlusion`, with it by
contradiction, by the network that ships or that --occluder names, and by the scene's own mask, which no network can do
better than.
The rest of the face is looked at within the ellipse that goes back, where nothing covers it. Of --photographs, in which
nothing covers a face, the share of the faces is told that is taken for covered all the same.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from gpen_core import FaceRestorer, RestoreOptions, load_detector, load_model
from gpen_core.contracts import Occluder
from gpen_core.data.degradation import Degradation
from gpen_core.faces.mask import ellipse_mask
from gpen_core.images import read_picture
from gpen_core.images.planes import resize
from gpen_core.options import Masking
from gpen_core.weights import load_occluder

SIZE = 256
Known = Occluder | Literal["contradiction"]


def covered(face: Tensor, other: Tensor, kind: int, x: float, y: float) -> tuple[Tensor, Tensor]:
    """A face (3, 256, 256) with something before it around (x, y), and where that is, (256, 256) in [0, 1]."""
    down, across = torch.meshgrid(torch.arange(float(SIZE)), torch.arange(float(SIZE)), indexing="ij")
    if kind == 0:
        inside = 1 - (((across - x) / 30) ** 2 + ((down - y) / 38) ** 2 - 1) * 15
        colour = (0.12 + 0.06 * ((across // 3 + down // 3) % 2)).expand(3, -1, -1)
    elif kind == 1:
        inside = torch.minimum(down - y + 10, y + 70 - down).minimum(85 - (across - SIZE / 2).abs()) / 3
        colour = torch.stack([0.35 + 0.1 * torch.sin(down / 3), 0.5 + 0.08 * torch.sin(down / 3), 0.7 + 0 * down])
    elif kind == 2:
        inside = torch.minimum((15 - (across - x).abs()) / 2, (down - y + 60) / 2)
        shade = 0.55 + 0.25 * (1 - ((across - x) / 16) ** 2).clamp(0, 1)
        colour = torch.stack([1.1 * shade, 0.8 * shade, 0.65 * shade])
    else:
        inside = 1 - (((across - x) / 36) ** 2 + ((down - y) / 30) ** 2 - 1) * 12
        colour = other.roll((40, -50), (1, 2)).flip(1)
    mask = inside.clamp(0, 1)
    return torch.lerp(face, colour, mask), mask


def shares_of(folder: Path, restorer: FaceRestorer) -> list[float]:
    """What share of each face in a folder's photographs is kept."""
    options = RestoreOptions(masking=Masking(occlusion=True))
    photographs = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".png"))
    results = restorer.restore_many(photographs, options)
    return [face.covered for result in results for face in result.faces if face.covered is not None]


def main() -> None:
    """Prints the mean changes, levels of 255."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--occluder", help="an occlusion network: path or name (default: the one that ships)")
    parser.add_argument("--seed", type=int, default=5, help="of the places of what covers")
    parser.add_argument("--photographs", type=Path, help="photographs of faces that nothing covers")
    arguments = parser.parse_args()
    files = sorted(path for path in arguments.faces.iterdir() if path.suffix.lower() in (".jpg", ".png"))
    files = files[:: max(1, len(files) // arguments.count)][: arguments.count]
    faces = [
        resize(torch.from_numpy(read_picture(p).pixels.copy()).permute(2, 0, 1)[None] / 255, SIZE)[0] for p in files
    ]
    model, generator, inner = load_model(), np.random.default_rng(arguments.seed), ellipse_mask(SIZE)
    places = [(generator.uniform(80, 176), generator.uniform(130, 215)) for _ in faces]
    network = load_occluder(arguments.occluder)
    if arguments.photographs is not None:
        detector = load_detector()
        tried: dict[str, Known] = {"contradiction": "contradiction", "the network": network}
        for way, occluder in tried.items():
            shares = shares_of(arguments.photographs, FaceRestorer(model, detector, occluder=occluder))
            print(f"{len(shares)} uncovered faces: {100 * np.mean(shares):.1f} % taken for covered by {way}")
    for damage in ("none", "balanced"):
        for way in ("nothing", "contradiction", "the network", "the mask itself"):
            changes = []
            for index, (face, place) in enumerate(zip(faces, places, strict=True)):
                scene, mask = covered(face, faces[index - 1], index % 4, *place)
                if damage != "none":
                    scene = Degradation(damage).degrade(scene[None], 1, [index])[0]
                known: dict[str, Known] = {
                    "contradiction": "contradiction",
                    "the network": network,
                    "the mask itself": lambda crops, mask=mask: mask.expand(len(crops), -1, -1),
                }
                restorer = FaceRestorer(model, occluder=known.get(way))
                options = RestoreOptions(masking=Masking(occlusion=way != "nothing"))
                change = (restorer.restore(scene, options, aligned=True).picture - scene).abs().mean(0)
                parts = (mask, (1 - mask) * inner)
                changes.append([255 * float((change * part).sum() / part.sum()) for part in parts])
            before, around = np.mean(changes, 0)
            print(f"damage {damage}, kept by {way}: what covers changes by {before:.2f}, the face by {around:.2f}")


if __name__ == "__main__":
    main()
