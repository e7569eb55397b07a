"""Stand-ins for the networks behind GPEN_MODEL, whose results a test can foretell."""

from __future__ import annotations

from typing import Any

import torch
from nodes_under_test import Pack
from torch import Tensor, nn

SIZE = 64
HEIGHT, WIDTH = 150, 180


class Unchanged(nn.Module):
    """A restoring network that gives every crop back with `gain` times its values, and notes its batches."""

    def __init__(self, pack: Pack, task: str, gain: float = 1.0) -> None:
        super().__init__()
        config = pack.module("gpen_core.config")
        self.config = config.GPENConfig.standard(SIZE)
        self.card = config.ModelCard(name=f"unchanged-{task}", task=task, value_range=(0.0, 1.0))
        self.anchor = nn.Parameter(torch.zeros(1))
        self.gain = gain
        self.batches: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.batches.append(len(x))
        return x.float() * self.gain


class Found(nn.Module):
    """A detector that finds the same faces in every picture that is not black."""

    longest_side = None

    def __init__(self, faces: list[Any]) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        self.faces = faces

    def forward(self, images: Tensor) -> list[list[Any]]:
        return [list(self.faces) if bool(image.any()) else [] for image in images]


class Halves(nn.Module):
    """A parser: the upper half of each crop is hair, the lower half skin, with an eye in the middle."""

    size = 64

    def __init__(self) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))

    def forward(self, crops: Tensor) -> Tensor:
        labels = torch.ones(len(crops), self.size, self.size, dtype=torch.long)
        labels[:, : self.size // 2] = 13
        labels[:, 28:36, 28:36] = 4
        return labels


def face_at(pack: Pack, x: float, y: float, side: float, score: float = 0.99) -> Any:
    """An upright face whose box begins at (x, y)."""
    points = torch.tensor([[0.31, 0.40], [0.69, 0.40], [0.50, 0.60], [0.35, 0.79], [0.65, 0.79]])
    corner = torch.tensor([x, y])
    kind = pack.module("gpen_core.faces.types").Detection
    return kind(box=torch.cat((corner, corner + side)), landmarks=corner + points * side, score=score)


def stand_in_model(
    pack: Pack, *, task: str = "restoration", faces: list[Any] | None = None, parser: bool = False, gain: float = 1.0
) -> Any:
    """A GPEN_MODEL of stand-ins. faces: what its detector finds; None: one face of 60 px at (50, 40)."""
    module, adapter = pack.module("nodes.model"), pack.module("nodes.adapter")
    model = module.FaceModel(Unchanged(pack, task, gain), name=f"stand-in for {task}")
    detector = Found([face_at(pack, 50, 40, 60)] if faces is None else faces)
    model._parts["detector"] = (detector, adapter.patch(detector))
    if parser:
        halves = Halves()
        model._parts["parser"] = (halves, adapter.patch(halves))
    return model


def photograph(count: int = 1, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(seed)) * 0.8 + 0.1


def detected(pack: Pack, model: object, image: torch.Tensor) -> object:
    return pack.run("GPEN_DetectFaces", gpen_model=model, image=image)[0]
