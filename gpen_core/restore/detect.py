"""First step: the faces of a whole picture by any detector, shrunk to what it works at, turned where asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..contracts import Detector, device_of, longest_side_of
from ..faces.duplicates import distinct
from ..faces.select import select
from ..faces.types import Detection
from ..images import Picture
from ..images.planes import shrunk_planes, with_square_pixels
from ..options import Selection

#: Boxes found in different turns that overlap more than this are one face.
_OVERLAP = 0.4
#: Of pictures that the detector sees together.
_PIXELS = 4_000_000


def find_faces(detector: Detector, picture: Picture, selection: Selection) -> list[Detection]:
    """The faces that `selection` lets through, in pixels of the picture; a face found in several turns counts once.

    The picture is shrunk to `selection.longest_side`, else to the detector's, before it becomes floats.
    """
    return find_faces_together(detector, [picture], selection)[0]


def find_numbered(detector: Detector, picture: Picture, selection: Selection) -> dict[int, Detection]:
    """What `find_faces` gives, by the numbers that the faces have where none is left out by its number or size."""
    counted = find_faces(detector, picture, replace(selection, indices=None, largest=None))
    chosen = select(counted, selection)
    return {next(n for n, face in enumerate(counted) if face is one): one for one in chosen}


def find_faces_together(detector: Detector, pictures: Sequence[Picture], selection: Selection) -> list[list[Detection]]:
    """What `find_faces` gives for each of `pictures`, which are of one size; the detector sees several at a time."""
    side = selection.longest_side or longest_side_of(detector)
    found: list[list[Detection]] = []
    while len(found) < len(pictures):
        images = [_seen(pictures[len(found)], side)]
        most = min(len(pictures) - len(found), max(1, _PIXELS // images[0][0].numel()))
        images += [_seen(picture, side) for picture in pictures[len(found) + 1 : len(found) + most]]
        batch = torch.stack(images).to(device_of(detector))
        each = [list(faces) for faces in detector(batch)]
        if selection.rotations:
            _add_turned(each, detector, batch)
        height, width = batch.shape[-2:]
        for faces, picture in zip(each, pictures[len(found) :], strict=False):
            wider, higher = picture.width / width, picture.height / height
            found.append(select([face.scaled(wider, higher) for face in faces], selection))
    return found


def _seen(picture: Picture, longest_side: int | None) -> Tensor:
    """(3, H, W): what a detector that works at `longest_side` sees."""
    small = shrunk_planes(picture.pixels, longest_side)
    return small if picture.pixel_aspect == 1 else with_square_pixels(small, picture.pixel_aspect)


def _add_turned(each: list[list[Detection]], detector: Detector, batch: Tensor) -> None:
    """Adds to the faces of each picture those that are found when it is turned; each face counts once."""
    height, width = batch.shape[-2:]
    for turns in (1, 2, 3):
        for faces, turned in zip(each, detector(torch.rot90(batch, turns, (2, 3))), strict=True):
            faces += [_turned_back(face, turns, height, width) for face in turned]
    for faces in filter(None, each):
        boxes, scores = torch.stack([face.box for face in faces]), torch.tensor([face.score for face in faces])
        faces[:] = [
            Detection(box=faces[i].box, landmarks=faces[i].landmarks, score=score)
            for i, score in distinct(boxes, scores, _OVERLAP)
        ]


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
