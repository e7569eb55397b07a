"""Pictures about pictures: faces marked, before beside after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ..images import Picture
from ..images.picture import to_depth

_BOX, _POINTS = (255, 176, 0), ((220, 38, 127), (100, 143, 255), (255, 255, 255), (254, 97, 0), (120, 94, 240))
"""Colours that people of any colour vision tell apart (IBM's design library): the box; eyes, nose, mouth corners in
their order."""
_GAP = 8
#: A side-by-side picture is shrunk to at most this many rows or half as many columns.
_LARGEST = 4000


def draw_faces(picture: Picture, faces: Sequence[Any], numbers: Sequence[int] | None = None) -> Picture:
    """An 8-bit RGB picture with each face's box, five landmarks, number and score drawn in.

    faces: anything with `.box` (4,), `.landmarks` (5, 2) and perhaps `.score`, in pixels of the picture. numbers: of
    each, None counts them from 0.
    """
    image = Image.fromarray(to_depth(picture.pixels, np.uint8).copy())
    pen = ImageDraw.Draw(image)
    line = max(2, round(min(image.size) / 250))
    for index, face in zip(range(len(faces)) if numbers is None else numbers, faces, strict=True):
        left, top, right, bottom = (float(v) for v in face.box)
        pen.rectangle((left, top, max(right, left), max(bottom, top)), outline=_BOX, width=line)
        radius = max(1.0, (right - left) / 40)
        for (x, y), colour in zip(face.landmarks, _POINTS, strict=False):
            x, y = float(x), float(y)
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
        score = getattr(face, "score", None)
        label = f"{index}" if score is None else f"{index}  {float(score):.2f}"
        size = max(10, round((right - left) / 7))
        pen.text((left, max(float(size), top - line)), label, fill=_BOX, font_size=size, anchor="ld")
    return Picture(pixels=np.array(image), icc_profile=None if picture.grey else picture.icc_profile, path=picture.path)


def side_by_side(before: Picture, after: Picture) -> Picture:
    """An 8-bit RGB picture: `before` left (enlarged to the size of `after`), `after` right, a white gap between."""
    right = Image.fromarray(to_depth(after.pixels, np.uint8))
    scale = min(1.0, _LARGEST / right.height, _LARGEST / right.width / 2)
    size = (max(1, round(right.width * scale)), max(1, round(right.height * scale)))
    halves = [Image.fromarray(to_depth(before.pixels, np.uint8)), right]
    halves = [half if half.size == size else half.resize(size, Image.Resampling.BICUBIC) for half in halves]
    gap = np.full((size[1], _GAP, 3), 255, np.uint8)
    return Picture(
        pixels=np.concatenate([np.asarray(halves[0]), gap, np.asarray(halves[1])], axis=1),
        icc_profile=None if after.grey else after.icc_profile,
    )
