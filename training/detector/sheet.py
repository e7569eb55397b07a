"""Shows what a detector takes for faces: python -m training.detector.sheet DETECTOR PICTURES OUT.png

Finds the faces of every picture of a folder as `gpen restore` does, and writes them, numbered and with their scores,
onto one sheet, so that false ones can be counted by eye. DETECTOR: a path or a name.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch

from gpen_core.errors import PictureError
from gpen_core.faces.geometry import fit_similarity, template
from gpen_core.faces.warp import crop_faces
from gpen_core.images import read_picture
from gpen_core.images.planes import planes_of
from gpen_core.options import Selection
from gpen_core.restore.detect import find_faces
from gpen_core.weights import load_detector

SIDE, COLUMNS, LINE = 96, 16, 14
_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")


def main() -> None:
    """Prints how many faces were found in how many pictures, and which picture has which."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector")
    parser.add_argument("pictures", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--threshold", type=float, default=Selection().threshold)
    options = parser.parse_args()
    detector = load_detector(options.detector, device="cpu")
    cells: list[tuple[np.ndarray, float]] = []
    paths = sorted(path for path in options.pictures.rglob("*") if path.suffix.lower() in _ENDINGS)
    for path in paths:
        try:
            picture = read_picture(path)
        except PictureError as error:
            print(error)
            continue
        found = find_faces(detector, picture, Selection(threshold=options.threshold))
        if not found:
            continue
        print(f"{path.relative_to(options.pictures)}: {len(cells)} to {len(cells) + len(found) - 1}")
        affines = fit_similarity([face.landmarks for face in found], template("ffhq", SIDE))
        crops = crop_faces(planes_of(picture.pixels), affines, SIDE, full_scale=picture.full_scale)
        cells += [(crop.numpy(), face.score) for crop, face in zip(crops, found, strict=True)]
    print(f"{len(paths)} pictures, {len(cells)} faces")
    sheet = np.zeros((-(-max(len(cells), 1) // COLUMNS) * (SIDE + LINE), COLUMNS * SIDE, 3), np.uint8)
    for index, (crop, score) in enumerate(cells):
        y, x = index // COLUMNS * (SIDE + LINE), index % COLUMNS * SIDE
        sheet[y : y + SIDE, x : x + SIDE] = (crop[::-1].transpose(1, 2, 0) * 255).round()
        where = (x + 2, y + SIDE + LINE - 3)
        cv2.putText(sheet, f"{index}: {score:.2f}", where, cv2.FONT_HERSHEY_PLAIN, 0.8, (255,) * 3)
    cv2.imwrite(str(options.out), sheet)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
