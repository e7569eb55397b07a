"""Faces of consecutive frames smoothed along their tracks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..gpen_core.faces.types import Detection
from ..gpen_core.video.smoothing import Smoothing, smooth_landmarks
from ..gpen_core.video.tracks import Tracker
from . import pictures


def smoothed(images: Tensor, frames: Sequence[Sequence[Detection]]) -> list[list[Detection]]:
    """The faces of consecutive frames with landmarks that do not jitter; box and score stay.

    A face is followed until it is missed, or the scene is cut.
    """
    smoothing = Smoothing()
    tracker = Tracker(smoothing.longest_gap)
    tracks: dict[int, dict[int, Detection]] = {}
    for index, faces in enumerate(frames):
        pixels = np.rint(pictures.frame_at(images, index) * 255).astype(np.uint8)
        for number, face in tracker.follow(index, pixels, faces)[0].items():
            tracks.setdefault(number, {})[index] = face
    steady: dict[int, Detection] = {}
    for track in tracks.values():
        for index, face in track.items():
            near = [at for at in track if abs(at - index) <= smoothing.landmark_reach]
            times = torch.tensor(near, dtype=torch.float64)
            points = torch.stack([track[at].landmarks for at in near])
            landmarks = smooth_landmarks(times, points, float(index), 1.0, smoothing)
            steady[id(face)] = replace(face, landmarks=landmarks)
    return [[steady[id(face)] for face in faces] for faces in frames]
