"""Which of the detected faces are meant."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import FaceError
from ..options import Selection
from .types import Detection


def select(detections: Sequence[Detection], selection: Selection) -> list[Detection]:
    """The faces that `selection` lets through, in its order. Raises FaceError for an index that no face has."""
    keys = {
        "found": lambda face: 0.0,
        "size": lambda face: -face.size,
        "score": lambda face: -face.score,
        "left": lambda face: float(face.box[0]),
        "top": lambda face: float(face.box[1]),
    }
    faces = [
        face
        for face in detections
        if face.score >= selection.threshold and selection.min_size <= face.size <= selection.max_size
    ]
    faces.sort(key=keys[selection.order])
    if selection.indices is not None:
        if faces and max(selection.indices, default=0) >= len(faces):
            found = "one was found, face 0" if len(faces) == 1 else f"{len(faces)} were found, counted from 0"
            raise FaceError(f"face {max(selection.indices)} was asked for; {found}")
        faces = [faces[i] for i in selection.indices if i < len(faces)]
    if selection.largest is not None and len(faces) > selection.largest:
        chosen = sorted(range(len(faces)), key=lambda i: -faces[i].size)[: selection.largest]
        faces = [faces[i] for i in sorted(chosen)]
    return faces
