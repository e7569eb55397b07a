"""BOUNDING_BOX and FACE_LANDMARKS: boxes and points of faces, in every shape in which packs pass them on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..gpen_core.errors import FaceError
from ..gpen_core.faces.types import Detection

# MediaPipe's face mesh, by the subject's own left and right: (outer corner, inner corner, upper lid, lower lid).
_RIGHT_EYE = (33, 133, 159, 145)
_LEFT_EYE = (263, 362, 386, 374)
_NOSE_TIP = 1
_RIGHT_MOUTH, _LEFT_MOUTH = 61, 291
_MESH = 468

Box = tuple[float, float, float, float]


def boxes_per_frame(value: Any, frames: int) -> list[list[tuple[Box, float]]]:
    """For each frame its boxes (x1, y1, x2, y2 in pixels) with scores.

    value: a list of lists of {x, y, width, height}, one list a frame; a flat list or a bare dictionary, which stand
    for every frame. Missing frames have no boxes. Raises FaceError for anything else.
    """
    if isinstance(value, Mapping):
        value = [[value]]
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise FaceError(f"bounding boxes must be a list of {{x, y, width, height}}, got {type(value).__name__}")
    if value and all(isinstance(item, Mapping) for item in value):
        value = [value]
    if any(not isinstance(frame, Sequence) or isinstance(frame, str) for frame in value):
        raise FaceError("bounding boxes must be one list of boxes a frame; this list mixes boxes with other things")
    per_frame = [[_box(box) for box in frame] for frame in value]
    if len(per_frame) == 1:
        per_frame = per_frame * frames
    return (per_frame + [[] for _ in range(frames)])[:frames]


def _box(value: Any) -> tuple[Box, float]:
    try:
        x, y, width, height = (float(value[key]) for key in ("x", "y", "width", "height"))
        score = value.get("score")
        score = 1.0 if score is None else float(score)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FaceError(f"a bounding box must have x, y, width and height as numbers, got {value!r}") from error
    if not all(map(math.isfinite, (x, y, width, height, score))):
        raise FaceError(f"a bounding box must be of finite numbers, got {value!r}")
    if not (width > 0 and height > 0):
        raise FaceError(f"a bounding box must be larger than nothing, got {width:g}×{height:g} at ({x:g}, {y:g})")
    return (x, y, x + width, y + height), score


def boxes_out(frames: Sequence[Sequence[Detection]]) -> list[list[dict[str, Any]]]:
    """A BOUNDING_BOX of these faces, one list a frame."""
    return [[_as_dictionary(face) for face in faces] for faces in frames]


def _as_dictionary(face: Detection) -> dict[str, Any]:
    x1, y1, x2, y2 = (float(v) for v in face.box)
    return {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "label": "face", "score": float(face.score)}


def landmarks_per_frame(value: Any, frames: int) -> list[list[Detection]]:
    """For each frame its faces, from FACE_LANDMARKS (`{"frames": [[{"landmarks_xy": (468 or 478, 2), …}]]}`).

    One frame of landmarks stands for every frame. Raises FaceError for anything else.
    """
    if not isinstance(value, Mapping) or not isinstance(value.get("frames"), Sequence):
        raise FaceError('face landmarks must be a dictionary with "frames", a list of faces for each frame')
    if any(not isinstance(faces, Sequence) or isinstance(faces, str) for faces in value["frames"]):
        raise FaceError('"frames" of the face landmarks must hold one list of faces a frame')
    per_frame = [[_face(face) for face in faces] for faces in value["frames"]]
    if len(per_frame) == 1:
        per_frame = per_frame * frames
    return (per_frame + [[] for _ in range(frames)])[:frames]


def _face(value: Any) -> Detection:
    if not isinstance(value, Mapping) or "landmarks_xy" not in value:
        raise FaceError("a face among the face landmarks has no landmarks_xy (478 points x, y in pixels)")
    mesh = _floats(value, "landmarks_xy")
    if mesh.ndim != 2 or mesh.shape[0] < _MESH or mesh.shape[1] < 2:
        raise FaceError(f"landmarks_xy must be at least {_MESH} points (x, y), got the shape {tuple(mesh.shape)}")
    mesh = mesh[:, :2]
    box = _floats(value, "bbox_xyxy").flatten()[:4] if "bbox_xyxy" in value else torch.cat((mesh.amin(0), mesh.amax(0)))
    score = _floats(value, "score").flatten() if value.get("score") is not None else torch.ones(1)
    if len(score) != 1:
        raise FaceError(f"score of a face among the face landmarks must be one number, got {len(score)}")
    return Detection(box=box, landmarks=five_points(mesh), score=float(score))


def _floats(face: Mapping[str, Any], name: str) -> Tensor:
    try:
        return torch.as_tensor(face[name], dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        given = type(face[name]).__name__
        raise FaceError(f"{name} of a face among the face landmarks must be numbers, got {given}") from error


def five_points(mesh: Tensor) -> Tensor:
    """Eyes, nose and mouth corners (5, 2), as seen from left to right in an upright picture, of a face mesh (≥ 468, 2).

    A mesh whose picture was mirrored after it was found names the sides the wrong way round; it is told by the turn
    from the line of the eyes down to the mouth, which no rotation changes.
    """
    left, right = mesh[list(_RIGHT_EYE)].mean(0), mesh[list(_LEFT_EYE)].mean(0)
    mouth_left, mouth_right = mesh[_RIGHT_MOUTH], mesh[_LEFT_MOUTH]
    across, down = right - left, (mouth_left + mouth_right) / 2 - (left + right) / 2
    if float(across[0] * down[1] - across[1] * down[0]) < 0:
        left, right, mouth_left, mouth_right = right, left, mouth_right, mouth_left
    return torch.stack((left, right, mesh[_NOSE_TIP], mouth_left, mouth_right))
