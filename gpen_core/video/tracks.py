"""Which face of one frame is which of the next; tracks end at scene cuts."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from ..faces.geometry import fit_similarity, template
from ..faces.types import Detection
from ..images.picture import FULL_SCALE
from ..images.planes import LUMA

#: A face may move this share of its own size between two frames, beyond what its motion or the camera's foretells.
_FARTHEST = 0.6
#: A face may grow or shrink by this factor between two frames.
_GROWTH = 1.5
#: A cut changes the frame, in mean absolute luma (of 1), by more than this and by this much more than usual.
_CUT, _CUT_OVER_USUAL = 0.08, 4.0
#: Likewise for a straightened face and what is around it: another face in the same place begins another track. In a
#: film of a crowd, soft and noisy, one face changes by 0.04, 1 time in 100 by 0.12; two faces differ by 0.21, 1 in 100
#: by less than 0.12.
_OTHER, _OTHER_OVER_USUAL = 0.12, 4.0
#: Size at which frames and the surroundings of faces are compared.
_SMALL = (36, 64)
#: A camera that is swept moves the frame by at most this much of it, (rows, columns) of `_SMALL`, from one to the next.
_SWEPT = (8, 12)
_PATCH = 16
#: Pixels that are looked at for one of a patch, each way.
_LOOKS = 3
#: How many frames say what is usual.
_MEMORY = 8


@dataclass(kw_only=True)
class Track:
    """One face as far as it has been followed. last: frame in which it was seen; velocity: (2,) pixels a frame."""

    landmarks: Tensor
    last: int
    velocity: Tensor
    patch: Tensor
    changes: list[float] = field(default_factory=list)


class Tracker:
    """Follows faces from frame to frame; frames are given in order.

    longest_gap: a face that is missed for more frames than this begins another track.
    """

    def __init__(self, longest_gap: int = 3) -> None:
        self._longest_gap = longest_gap
        self._tracks: dict[int, Track] = {}
        self._next = 0
        self._before: Tensor | None = None
        self._changes: list[float] = []

    def follow(
        self, index: int, pixels: NDArray[Any], detections: Sequence[Detection], least: float = 0.0
    ) -> tuple[dict[int, Detection], bool]:
        """The detections of frame `index` by track number, and whether a scene begins with it.

        pixels: (H, W, 3) RGB as a Picture has them. A detection in which no track goes on begins one, from the
        confidence `least` on; below, it is passed over.
        """
        small, patches = small_luma(pixels), [patch_of(pixels, face) for face in detections]
        cut, sweep = self._compare(small)
        # From rows and columns of the small frame to (x, y) pixels.
        scale = torch.tensor([pixels.shape[1] / small.shape[1], pixels.shape[0] / small.shape[0]])
        sweeps = [sweep.flip(0) * scale] if sweep.any() else []
        if cut:
            self._tracks, self._changes = {}, []
        self._tracks = {k: t for k, t in self._tracks.items() if index - t.last <= self._longest_gap + 1}
        pairs = []
        for number, track in self._tracks.items():
            expected = [track.landmarks + step * (index - track.last) for step in (track.velocity, *sweeps)]
            for k, face in enumerate(detections):
                cost = distance(face, *expected)
                if cost is not None and _is_usual(
                    _change(patches[k], track.patch), track.changes, _OTHER, _OTHER_OVER_USUAL
                ):
                    pairs.append((cost, number, k))
        found: dict[int, Detection] = {}
        taken: set[int] = set()
        for _, number, k in sorted(pairs):
            if number not in found and k not in taken:
                found[number] = detections[k]
                taken.add(k)
                self._continue(number, index, detections[k], patches[k])
        for k, face in enumerate(detections):
            if k not in taken and face.score >= least:
                self._tracks[self._next] = Track(
                    landmarks=face.landmarks, last=index, velocity=torch.zeros(2), patch=patches[k]
                )
                found[self._next] = face
                self._next += 1
        return dict(sorted(found.items())), cut

    def _compare(self, small: Tensor) -> tuple[bool, Tensor]:
        """Whether a scene begins with this frame, and (rows, columns) of it that a swept camera moved the scene by."""
        before, self._before = self._before, small
        sweep = torch.zeros(2)
        if before is None:
            return False, sweep
        change = _change(small, before)
        if change > _CUT:
            # A swept camera changes every pixel, and shows the same scene elsewhere in the frame.
            change, sweep = _beside_sweep(small, before)
        usual = _is_usual(change, self._changes, _CUT, _CUT_OVER_USUAL)
        self._changes = [*self._changes, change][-_MEMORY:]
        return not usual, sweep

    def _continue(self, number: int, index: int, face: Detection, patch: Tensor) -> None:
        track = self._tracks[number]
        step = (face.landmarks - track.landmarks).mean(0) / (index - track.last)
        track.changes = [*track.changes, _change(patch, track.patch)][-_MEMORY:]
        # Halfway to the last step: enough to follow, and a jitter of the detector does not throw the track off.
        track.velocity = 0.5 * (track.velocity + step)
        track.landmarks, track.last, track.patch = face.landmarks, index, patch

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that `from_state` needs to go on: tensors, and JSON values."""
        tensors = {} if self._before is None else {"tracker.before": self._before}
        tracks = {}
        for number, track in self._tracks.items():
            tensors[f"tracker.{number}.landmarks"] = track.landmarks
            tensors[f"tracker.{number}.velocity"] = track.velocity
            tensors[f"tracker.{number}.patch"] = track.patch
            tracks[str(number)] = {"last": track.last, "changes": track.changes}
        return tensors, {"next": self._next, "changes": self._changes, "tracks": tracks, "gap": self._longest_gap}

    @classmethod
    def from_state(cls, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> Tracker:
        """The tracker whose `state` this was. Raises InputError where something is missing."""
        try:
            tracker = cls(values["gap"])
            tracker._next, tracker._changes = values["next"], list(values["changes"])
            tracker._before = tensors.get("tracker.before")
            for number, track in values["tracks"].items():
                parts = {part: tensors[f"tracker.{number}.{part}"] for part in ("landmarks", "velocity", "patch")}
                tracker._tracks[int(number)] = Track(last=track["last"], changes=list(track["changes"]), **parts)
        except KeyError as error:
            raise InputError(f"the state of the tracks lacks {error}") from error
        return tracker


def distance(face: Detection, *expected: Tensor) -> float | None:
    """Mean distance of a face's landmarks from the nearest places where they were expected, (5, 2) each, over the
    face's size there; None where it is another face."""
    size = _size(expected[0])
    cost = min(float((face.landmarks - place).norm(dim=1).mean()) for place in expected) / max(size, 1.0)
    if cost > _FARTHEST or not 1 / _GROWTH <= _size(face.landmarks) / max(size, 1e-6) <= _GROWTH:
        return None
    return cost


def _size(landmarks: Tensor) -> float:
    """Root mean square distance of landmarks from their mean, times four: about the face's box."""
    return 4 * float((landmarks - landmarks.mean(0)).square().sum(1).mean().sqrt())


def is_another_scene(small: Tensor, before: Tensor) -> bool:
    """Whether two frames by their `small_luma` differ as scenes do, in a film that hardly moves."""
    return _change(small, before) > _CUT


def is_another_face(patch: Tensor, before: Tensor) -> bool:
    """Whether two patches by `patch_of` differ as faces do, in a film that hardly moves."""
    return _change(patch, before) > _OTHER


def _is_usual(change: float, changes: Sequence[float], least: float, over_usual: float) -> bool:
    usual = statistics.median(changes) if changes else 0.0
    return change <= max(least, over_usual * usual)


def _change(now: Tensor, before: Tensor) -> float:
    return float((now - before).abs().mean())


def _beside_sweep(small: Tensor, before: Tensor) -> tuple[float, Tensor]:
    """Mean absolute difference of two frames where they overlap, least over all shifts of a swept camera; that shift,
    (rows, columns) from `before` to `small`."""
    rows, columns = _SWEPT
    padded = F.pad(before[None, None], (columns, columns, rows, rows), value=math.nan)[0, 0]
    shifted = padded.unfold(0, small.shape[0], 1).unfold(1, small.shape[1], 1)
    changes = (shifted - small).abs().nanmean((2, 3))
    row, column = divmod(int(changes.argmin()), changes.shape[1])
    return float(changes.min()), torch.tensor([float(rows - row), float(columns - column)])


def _luma(pixels: NDArray[Any]) -> Tensor:
    weights = np.array(LUMA, dtype=np.float32) / np.float32(FULL_SCALE[pixels.dtype.name])
    return torch.from_numpy(pixels.astype(np.float32) @ weights)


def small_luma(pixels: NDArray[Any]) -> Tensor:
    """(36, 64) luma in [0, 1]; every few pixels are looked at, which noise does not mind once they are averaged."""
    step = max(1, min(pixels.shape[0] // (_SMALL[0] * 4), pixels.shape[1] // (_SMALL[1] * 4)))
    return F.adaptive_avg_pool2d(_luma(np.ascontiguousarray(pixels[::step, ::step]))[None], _SMALL)[0]


def patch_of(pixels: NDArray[Any], face: Detection) -> Tensor:
    """(16, 16) luma in [0, 1] of a straightened face and what is around it, mean removed, so that a flash is no other
    face; beyond the frame stands its edge."""
    side = _PATCH * _LOOKS
    (a, b, left), (c, d, top) = fit_similarity(template("ffhq", side)[None], face.landmarks)[0].tolist()
    across, down = np.arange(side), np.arange(side)[:, None]
    x = (a * across + b * down + left).round().clip(0, pixels.shape[1] - 1).astype(np.intp)
    y = (c * across + d * down + top).round().clip(0, pixels.shape[0] - 1).astype(np.intp)
    patch = F.avg_pool2d(_luma(pixels[y, x])[None], _LOOKS)[0]
    return patch - patch.mean()
