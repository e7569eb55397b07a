"""What is known of a face: where it was found, the crops that go through the network, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..errors import FaceError


@dataclass(frozen=True, kw_only=True, eq=False)
class Detection:
    """One face, in pixels of the picture it was found in, pixel centres at integers.

    box: (4,) x1, y1, x2, y2. landmarks: (5, 2) x, y of left eye, right eye, nose, left and right corner of the mouth,
    left and right as seen in the picture. score: 0..1. Sequences of numbers become float32 tensors.
    Raises FaceError for another shape, numbers that are not finite, or a box without area.
    """

    box: Tensor
    landmarks: Tensor
    score: float = 1.0

    def __post_init__(self) -> None:
        for name, shape in (("box", (4,)), ("landmarks", (5, 2))):
            values = torch.as_tensor(getattr(self, name)).detach().to("cpu", torch.float32)
            if tuple(values.shape) != shape:
                raise FaceError(f"a face's {name} has shape {tuple(values.shape)}; expected {shape}")
            if not bool(torch.isfinite(values).all()):
                raise FaceError(f"a face's {name} holds numbers that are not finite: {values.tolist()}")
            object.__setattr__(self, name, values)
        x1, y1, x2, y2 = self.box.tolist()
        if x2 <= x1 or y2 <= y1:
            raise FaceError(f"a face's box is {x1:g}, {y1:g}, {x2:g}, {y2:g}; expected x1 < x2 and y1 < y2")
        object.__setattr__(self, "score", float(self.score))

    @property
    def width(self) -> float:
        """Of the box, pixels."""
        return float(self.box[2] - self.box[0])

    @property
    def height(self) -> float:
        """Of the box, pixels."""
        return float(self.box[3] - self.box[1])

    @property
    def size(self) -> float:
        """The box's shorter side, pixels."""
        return min(self.width, self.height)

    def scaled(self, x: float, y: float) -> Detection:
        """The same face in a picture `x` times as wide and `y` times as high; pixel areas are scaled, so that a
        centre at c goes to (c + 0.5)·x − 0.5."""
        factor = torch.tensor([x, y])
        box = (self.box.view(2, 2) + 0.5) * factor - 0.5
        return Detection(box=box.view(4), landmarks=(self.landmarks + 0.5) * factor - 0.5, score=self.score)


@dataclass(frozen=True, kw_only=True, eq=False)
class FaceCrops:
    """Straightened faces of one picture, and how they came out of it.

    crops: (N, 3, S, S) sRGB in [0, 1]. affines: (N, 2, 3) float64, picture pixels → crop pixels.
    picture_size: (height, width) of the picture. whole: the one crop is all of the picture, an aligned face.
    """

    crops: Tensor
    affines: Tensor
    detections: Sequence[Detection]
    picture_size: tuple[int, int]
    whole: bool = False

    def __post_init__(self) -> None:
        if self.crops.ndim != 4 or self.crops.shape[1] != 3 or self.crops.shape[2] != self.crops.shape[3]:
            raise FaceError(f"face crops have shape {tuple(self.crops.shape)}; expected (N, 3, S, S)")
        count = len(self.crops)
        if tuple(self.affines.shape) != (count, 2, 3) or len(self.detections) != count:
            raise FaceError(
                f"{count} crops came with affines of shape {tuple(self.affines.shape)} and {len(self.detections)} "
                f"detections; expected ({count}, 2, 3) and {count}"
            )

    def __len__(self) -> int:
        return len(self.crops)

    def only(self, rows: Sequence[int]) -> FaceCrops:
        """These of the faces, in this order."""
        picked = list(rows)
        faces = [self.detections[row] for row in picked]
        return replace(self, crops=self.crops[picked], affines=self.affines[picked], detections=faces)
