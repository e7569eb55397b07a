"""What a restoration gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ..faces.types import Detection
from ..images import Picture
from ..treatment import Treated


@dataclass(frozen=True, kw_only=True, eq=False)
class RestoredFace(Treated):
    """One face of a result.

    crop: (3, S, S) as it was given to the network, restored: (3, T, T) as it came out, both sRGB in [0, 1]; None where
    `RestoreOptions.keep_crops` is false. affine: (2, 3) float64, picture pixels → crop pixels.
    rectangle: x1, y1, x2, y2 (last ones excluded), the only pixels of the picture that this face may have changed.
    mask: (y2 - y1, x2 - x1) in [0, 1], how much of each of them is the restored face. strength: of the whole face.
    in_size: S, also where crops are not kept.
    kept: how much of itself a face keeps that is larger than the network's size, or than 256 px, and sound, 0..1; None:
    it is no larger.
    covered: the share of the face that something in front of it kept from being restored; None: nobody asked.
    """

    detection: Detection
    affine: Tensor
    rectangle: tuple[int, int, int, int]
    mask: Tensor
    strength: float
    crop: Tensor | None
    restored: Tensor | None
    in_size: int = 0
    kept: float | None = None
    covered: float | None = None

    @property
    def box(self) -> Tensor:
        """(4,) x1, y1, x2, y2 as detected, pixels."""
        return self.detection.box

    @property
    def landmarks(self) -> Tensor:
        """(5, 2) x, y as detected, pixels."""
        return self.detection.landmarks

    @property
    def score(self) -> float:
        """The detector's confidence, 0..1."""
        return self.detection.score


@dataclass(frozen=True, kw_only=True, eq=False)
class RestoredPicture:
    """The result of one picture.

    picture: of the kind that was given (array → array, PIL → PIL, tensor → tensor, path → Picture).
    faces: in the order of their detection; none where no face was found, and `picture` is then as it was.
    decoded: the same result as a Picture, with the metadata of what was given.
    """

    picture: Any
    faces: tuple[RestoredFace, ...]
    decoded: Picture = field(repr=False)

    def save(self, path: str | Path, **settings: Any) -> tuple[str, ...]:
        """Writes the result; settings and what comes back as `write_picture` has them."""
        return self.decoded.save(path, **settings)
