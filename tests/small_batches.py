"""A batch of small pictures: a network that inverts, a detector that finds the middle."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gpen_core.batch import BatchOptions, Item, restoring, run_batch
from gpen_core.config import GPENConfig, ModelCard
from gpen_core.faces.types import Detection
from gpen_core.options import RestoreOptions
from gpen_core.restore import FaceRestorer


class Negative:
    """A network that inverts colours."""

    config = GPENConfig.standard(64)
    card = ModelCard(name="negative")

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return -x


def one_face(pictures: torch.Tensor) -> list[list[Detection]]:
    """A face in the middle of every picture that is bright somewhere."""
    found = []
    for picture in pictures:
        side = min(picture.shape[1:]) / 2
        left, top = (picture.shape[2] - side) / 2, (picture.shape[1] - side) / 2
        points = [(0.35, 0.4), (0.65, 0.4), (0.5, 0.6), (0.38, 0.75), (0.62, 0.75)]
        landmarks = [(left + side * x, top + side * y) for x, y in points]
        face = Detection(box=(left, top, left + side, top + side), landmarks=landmarks, score=0.97)
        found.append([face] if picture.max() > 0.5 else [])
    return found


RESTORER = FaceRestorer(Negative(), one_face)
OPTIONS = RestoreOptions()


#: How bright red, green and blue of a face are in natural light, beside the brightest.
SKIN = np.array([1.0, 0.8, 0.7])


def photograph(path: Path, seed: int, *, bright: bool = True, size: tuple[int, int] = (60, 80)) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256 if bright else 90, (*size, 3), dtype=np.uint8)
    pixels = (pixels * SKIN).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def run(items: list[Item], folder: Path, process=None, **options):
    process = restoring(RESTORER, OPTIONS) if process is None else process
    return run_batch(items, process, BatchOptions(report=folder / "report.json", **options))


def report_of(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())
