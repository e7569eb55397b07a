"""Faces of a whole picture by any detector: shrunk to what it works at, turned where asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ..faces.detect import RetinaFaceDetector
from ..faces.duplicates import distinct
from ..faces.planes import shrunk_planes
from ..faces.types import Detection
from ..images import Picture
from ..options import Selection
from .run import device_of

#: (B, 3, H, W) RGB in [0, 1] → the faces of each picture.
Detector = Callable[[Tensor], list[list[Detection]]]

#: Boxes found in different turns that overlap more than this are one face.
_OVERLAP = 0.4


def find_faces(detector: Detector, picture: Picture, selection: Selection) -> list[Detection]:
    """All faces that the detector reports, in pixels of the picture; a face found in several turns counts once.

    The picture is shrunk to `selection.longest_side`, else to the detector's `longest_side`, before it becomes floats.
    """
    small = shrunk_planes(picture.pixels, selection.longest_side or getattr(detector, "longest_side", None))
    image = small.to(device_of(detector))[None]
    height, width = image.shape[-2:]
    faces = _ask(detector, image, selection)
    if selection.rotations:
        for turns in (1, 2, 3):
            turned = _ask(detector, torch.rot90(image, turns, (2, 3)), selection)
            faces = [*faces, *(_turned_back(face, turns, height, width) for face in turned)]
        if faces:
            boxes, scores = torch.stack([f.box for f in faces]), torch.tensor([f.score for f in faces])
            faces = [faces[i] for i in distinct(boxes, scores, _OVERLAP)]
    return [face.scaled(picture.width / width, picture.height / height) for face in faces]


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


def _ask(detector: Detector, image: Tensor, selection: Selection) -> list[Detection]:
    if not isinstance(detector, RetinaFaceDetector):
        return list(detector(image)[0])
    longest_side = selection.longest_side or detector.options.longest_side
    options = replace(detector.options, threshold=selection.threshold, longest_side=longest_side)
    return detector.forward(image, options)[0]
