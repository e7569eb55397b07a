"""Faces of a batch of pictures: by the detector, or from boxes, landmarks or regions that another node found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..gpen_core.faces.types import Detection
from ..gpen_core.options import Selection
from ..gpen_core.restore import FaceRestorer
from . import pictures
from .adapter import Progress
from .boxes import Box, boxes_per_frame, landmarks_per_frame
from .model import FaceModel
from .segs import boxes_of, check_segs
from .wires import Faces

# A detection belongs to a given box when they overlap at least this much (intersection over union).
_SAME_FACE = 0.3
# Or when one lies in the other by this much of itself: boxes of other packs may be generous, or end at brows and chin.
_INSIDE = 0.7
# Inside a given box there is a face for sure, so that a less certain detection will do for its landmarks.
_IN_A_BOX = 0.2
# Where the landmarks of an upright face lie in a detector's box.
_IN_BOX = torch.tensor([[0.31, 0.40], [0.69, 0.40], [0.50, 0.60], [0.35, 0.79], [0.65, 0.79]])


class Given(NamedTuple):
    """Faces that another node has found, in the first form that is there."""

    detections: Faces | None = None
    face_landmarks: Any = None
    bounding_boxes: Any = None
    segs: Any = None

    @property
    def detector(self) -> bool:
        """Whether faces cannot be told without the detector: boxes and regions have no landmarks of their own."""
        return self.detections is None and self.face_landmarks is None


UNKNOWN = Given()


def find_faces(
    model: FaceModel, images: Tensor, selection: Selection, progress: Progress, given: Given = UNKNOWN
) -> Iterator[list[Detection]]:
    """The faces of each picture, found when they are asked for; what was given is checked at once.

    The detector must have been prepared where `given.detector` says so.
    """
    count, height, width = images.shape[:3]
    if given.detections is not None:
        given.detections.check(images)
        return _stepping(map(list, given.detections.frames), progress)
    if given.face_landmarks is not None:
        return _stepping(landmarks_per_frame(given.face_landmarks, count), progress)
    boxes: list[list[tuple[Box, float]]] | None = None
    if given.bounding_boxes is not None:
        boxes = boxes_per_frame(given.bounding_boxes, count)
    elif given.segs is not None:
        boxes = [boxes_of(check_segs(given.segs, height, width))] * count
    if boxes is not None:
        selection = Selection(threshold=_IN_A_BOX)
    return _stepping(_detected(model, images, selection, boxes), progress)


def _stepping(frames: Iterable[list[Detection]], progress: Progress) -> Iterator[list[Detection]]:
    for faces in frames:
        progress.step()
        yield faces


def _detected(
    model: FaceModel, images: Tensor, selection: Selection, boxes: list[list[tuple[Box, float]]] | None
) -> Iterator[list[Detection]]:
    """What the detector finds in each picture, or makes of the boxes that were given for it."""
    model.detector()
    restorer = FaceRestorer(model.asked("network"), model.asked("detector", pictures=len(images)))
    for index in range(len(images)):
        height, width = images.shape[1:3]
        # A box outside the picture is no face.
        wanted = None if boxes is None else [entry for entry in boxes[index] if _meets(entry[0], width, height)]
        found = [] if wanted == [] else restorer.detect(pictures.frame_at(images, index), selection)
        yield found if wanted is None else [_in_box(box, score, found) for box, score in wanted]


def _meets(box: Box, width: int, height: int) -> bool:
    return box[0] < width and box[1] < height and box[2] > 0 and box[3] > 0


def _in_box(box: Box, score: float, found: Sequence[Detection]) -> Detection:
    """The face of a given box: the detection that fits it, or in or around it, else an upright face that fills it."""
    best = max(found, key=lambda face: _overlap(box, face), default=None)
    edges = torch.tensor(box)
    if best is not None:
        if _overlap(box, best) >= _SAME_FACE:
            return Detection(box=edges, landmarks=best.landmarks, score=score)
        smaller = min((box[2] - box[0]) * (box[3] - box[1]), float(best.width * best.height))
        if _common(box, best) >= _INSIDE * smaller:
            return Detection(box=best.box, landmarks=best.landmarks, score=score)
    return Detection(box=edges, landmarks=edges[:2] + _IN_BOX * (edges[2:] - edges[:2]), score=score)


def _common(box: Box, face: Detection) -> float:
    """Pixels that lie in both."""
    x1, y1, x2, y2 = (float(v) for v in face.box)
    return max(0.0, min(box[2], x2) - max(box[0], x1)) * max(0.0, min(box[3], y2) - max(box[1], y1))


def _overlap(box: Box, face: Detection) -> float:
    """Intersection over union."""
    common = _common(box, face)
    return common / ((box[2] - box[0]) * (box[3] - box[1]) + face.width * face.height - common)
