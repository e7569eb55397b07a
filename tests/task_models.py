"""Small stand-ins for the networks of the other tasks, and maps of regions to work on."""

import numpy as np
import torch
from small_models import small_model

from gpen_core.config import GPENConfig, ModelCard
from gpen_core.faces.types import Detection

POINTS = ((0.36, 0.42), (0.64, 0.42), (0.5, 0.58), (0.39, 0.73), (0.61, 0.73))


def task_model(task: str, *, size: int = 32, value_range: tuple[float, float] = (-1.0, 1.0)):
    """A random network of the shape that the task's official one has, smaller."""
    config = GPENConfig.standard(size, narrow=1 / 32, style_dim=16, n_mlp=2)
    return small_model(config, ModelCard(name=f"small {task}", task=task, value_range=value_range))


class Painter:
    """Answers every crop with one colour: what a task does around the network is all that is left to see."""

    def __init__(self, task: str, colour: tuple[float, float, float], size: int = 32) -> None:
        self.config = GPENConfig.standard(size, narrow=1 / 32)
        self.card = ModelCard(name="painter", task=task)
        self.colour = torch.tensor(colour)
        self.seen: list[torch.Tensor] = []

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x)
        return (self.colour * 2 - 1).view(1, 3, 1, 1).expand(len(x), 3, *x.shape[-2:]).clone()


def face_at(left: float, top: float, side: float, score: float = 0.99) -> Detection:
    """A face whose box is a square."""
    points = [(left + side * x, top + side * y) for x, y in POINTS]
    return Detection(box=(left, top, left + side, top + side), landmarks=points, score=score)


def face_map(size: int = 512) -> np.ndarray:
    """(size, size) labels: a face of ellipses with all of the usual regions, the thin ones included."""
    y, x = np.mgrid[:size, :size] / size
    labels = np.zeros((size, size), dtype=np.uint8)

    def ellipse(label, centre, radii, keep=()):
        inside = ((x - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 <= 1
        labels[inside & ~np.isin(labels, keep)] = label

    labels[(y > 0.86) & (np.abs(x - 0.5) < 0.45)] = 18
    ellipse(13, (0.5, 0.42), (0.37, 0.4))
    labels[(np.abs(x - 0.5) < 0.13) & (y > 0.7) & (y < 0.93)] = 17
    ellipse(8, (0.245, 0.5), (0.035, 0.08))
    ellipse(9, (0.755, 0.5), (0.035, 0.08))
    ellipse(1, (0.5, 0.5), (0.25, 0.34))
    for eye, brow, across in ((4, 6, 0.39), (5, 7, 0.61)):
        ellipse(brow, (across, 0.385), (0.07, 0.018))
        ellipse(eye, (across, 0.44), (0.05, 0.022))
    ellipse(2, (0.5, 0.54), (0.045, 0.09))
    ellipse(11, (0.5, 0.675), (0.095, 0.025))
    ellipse(12, (0.5, 0.705), (0.085, 0.028), keep=(11,))
    ellipse(10, (0.5, 0.69), (0.06, 0.008))
    ellipse(15, (0.245, 0.6), (0.012, 0.02))
    return labels


class QuadrantParser:
    """Labels that depend on where a pixel is, not on what it shows."""

    size = 64

    def __call__(self, crops: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(face_map(crops.shape[-1])).long().expand(len(crops), -1, -1)
