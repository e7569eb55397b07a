"""First step: the faces of a whole picture by any detector, shrunk to what it works at, turned where asked."""

from __future__ import annotations

import torch

from ..contracts import Detector, device_of, longest_side_of
from ..faces.duplicates import distinct
from ..faces.select import select
from ..faces.types import Detection
from ..images import Picture
from ..images.planes import shrunk_planes, with_square_pixels
from ..options import Selection

#: Boxes found in different turns that overlap more than this are one face.
_OVERLAP = 0.4


def find_faces(detector: Detector, picture: Picture, selection: Selection) -> list[Detection]:
    """The faces that `selection` lets through, in pixels of the picture; a face found in several turns counts once.

    The picture is shrunk to `selection.longest_side`, else to the detector's, before it becomes floats.
    """
    small = shrunk_planes(picture.pixels, selection.longest_side or longest_side_of(detector))
    if picture.pixel_aspect != 1:
        small = with_square_pixels(small, picture.pixel_aspect)
    image = small.to(device_of(detector))[None]
    height, width = image.shape[-2:]
    faces = list(detector(image)[0])
    if selection.rotations:
        for turns in (1, 2, 3):
            turned = detector(torch.rot90(image, turns, (2, 3)))[0]
            faces += [_turned_back(face, turns, height, width) for face in turned]
        if faces:
            boxes, scores = torch.stack([face.box for face in faces]), torch.tensor([face.score for face in faces])
            faces = [
                Detection(box=faces[i].box, landmarks=faces[i].landmarks, score=score)
                for i, score in distinct(boxes, scores, _OVERLAP)
            ]
    wider, higher = picture.width / width, picture.height / height
    return select([face.scaled(wider, higher) for face in faces], selection)


def _turned_back(face: Detection, turns: int, height: int, width: int) -> Detection:
    """A face found in the image (height, width) turned by `turns` quarters, in pixels of the image as it was; its
    landmarks keep their names, so that the face stands upright in its crop."""
    points = torch.cat([face.box.view(2, 2), face.landmarks])
    x, y = points[:, 0], points[:, 1]
    if turns == 1:
        x, y = width - 1 - y, x
    elif turns == 2:
        x, y = width - 1 - x, height - 1 - y
    else:
        x, y = y, height - 1 - x
    points = torch.stack([x, y], 1)
    box = torch.cat([points[:2].amin(0), points[:2].amax(0)])
    return Detection(box=box, landmarks=points[2:], score=face.score)
