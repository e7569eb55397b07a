"""What is seen of a picture, and what people choose in it: faces to leave out, and where it may change."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..faces.types import Detection
from ..images import Picture
from ..options import Selection
from ..restore.detect import find_numbered

if TYPE_CHECKING:
    from ..contracts import Detector

_CHOSEN, _LEFT_OUT = (255, 176, 0), (128, 128, 128)
#: Of the lines and numbers that are drawn, one in so many pixels of the picture's shorter side.
_LINE, _NUMBER = 200, 28


@dataclass(frozen=True, kw_only=True, eq=False)
class Look:
    """A picture as it is shown, and its faces by their numbers. scale: pixels of the picture for one that is shown.

    selection: by which they were found.
    """

    path: Path
    image: Image.Image
    scale: float
    faces: Mapping[int, Detection]
    selection: Selection = field(default_factory=Selection)

    def face_at(self, x: float, y: float) -> int | None:
        """The number of the smallest face whose box holds this point of what is shown."""
        found = []
        for number, face in self.faces.items():
            left, top, right, bottom = self._box(face)
            if left <= x <= right and top <= y <= bottom:
                found.append(((right - left) * (bottom - top), number))
        return min(found)[1] if found else None

    def marked(self, left_out: Collection[int] = ()) -> Image.Image:
        """What is shown, with a box around each face and, where there are several, its number; those left out are
        crossed.
        """
        image = self.image.copy()
        pen, side = ImageDraw.Draw(image), min(image.size)
        line, size = max(2, round(side / _LINE)), max(12, round(side / _NUMBER))
        for number, face in self.faces.items():
            left, top, right, bottom = self._box(face)
            box, colour = (left, top, max(left, right), max(top, bottom)), _CHOSEN
            if number in left_out:
                colour = _LEFT_OUT
                pen.line(box, fill=colour, width=line)
            pen.rectangle(box, outline=colour, width=line)
            if len(self.faces) > 1:
                pen.text((left, max(size, top)), str(number), fill=colour, font_size=size, anchor="ld")
        return image

    def _box(self, face: Detection) -> tuple[float, float, float, float]:
        left, top, right, bottom = (float(v) / self.scale for v in face.box)
        return left, top, right, bottom


@dataclass(frozen=True, kw_only=True, eq=False)
class Choice:
    """What was chosen in one picture: faces by clicking, and what was painted, (H, W) in [0, 1] as shown."""

    look: Look
    left_out: frozenset[int] = frozenset()
    painted: NDArray[np.float32] | None = field(default=None, repr=False)

    def left_out_of(self, faces: Mapping[int, Detection]) -> frozenset[int]:
        """Which of these faces, found anew and perhaps counted otherwise, are left out."""
        gone = [self.look.faces[number] for number in self.left_out]
        return frozenset(number for number, face in faces.items() if any(_is_same(face, one) for one in gone))

    def among(self, detector: Detector, picture: Picture, selection: Selection) -> Selection:
        """`selection` without the faces that are left out; their numbers stay."""
        if not self.left_out:
            return selection
        found = find_numbered(detector, picture, selection)
        return replace(selection, indices=tuple(sorted(found.keys() - self.left_out_of(found))), largest=None)

    def within(self, picture: Picture) -> NDArray[np.float32] | None:
        """How much of each pixel may change."""
        if self.painted is None:
            return None
        mask = Image.fromarray(self.painted).resize((picture.width, picture.height), Image.Resampling.BILINEAR)
        return np.asarray(mask, np.float32).clip(0, 1)


def _is_same(face: Detection, other: Detection) -> bool:
    """Whether each has its middle in the other's box."""
    return _holds_middle(face, other) and _holds_middle(other, face)


def _holds_middle(face: Detection, other: Detection) -> bool:
    middle = (other.box[:2] + other.box[2:]) / 2
    return bool((face.box[:2] <= middle).all() and (middle <= face.box[2:]).all())
