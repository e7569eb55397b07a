"""A frame on its way through the steps, and what its faces have of the frames around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from ..faces.types import Detection, FaceCrops
from ..film_options import Smoothing
from ..images import Picture
from ..restore.masks import CropMasks
from .smoothing import blend, mean_mask, smooth_landmarks
from .tracks import distance

#: Faces whose landmarks are nearer than this share of their size lie in one place.
_TOGETHER = 0.25
#: Seconds from the frame before to the frame after, within which a face that is in neither is no face that came and
#: went; films of single pictures have longer ones.
_MOMENT = 0.2


@dataclass(kw_only=True, eq=False)
class Moment:
    """One frame: time in seconds; picture None once it has been given out.

    found: what the detector saw, by track number. numbers: the tracks that are restored here, in the order of the
    rows of `restored` (N, 3, T, T), `views` (see `motion_view`) and `masks`.
    """

    index: int
    time: float
    picture: Picture | None = None
    found: Mapping[int, Detection] = field(default_factory=dict)
    cut: bool = False
    numbers: tuple[int, ...] = ()
    faces: FaceCrops | None = None
    restored: Tensor | None = None
    views: Tensor | None = None
    masks: CropMasks | None = None


def placed(near: Sequence[Moment], at: int, smoothing: Smoothing | None) -> dict[int, Detection]:
    """The faces of frame `at` of `near` by track, landmarks smoothed, missed ones filled in; what is seen in this frame
    alone, while the scene goes on, is left out: restored it would flash.
    """
    moment = near[at]
    if smoothing is None:
        return dict(moment.found)
    reach = max(smoothing.landmark_reach, smoothing.longest_gap)
    window = near[max(0, at - reach) : at + reach + 1]
    step = _spacing(window)
    numbers = sorted({number for other in window for number in other.found})
    seen_in = {number: [other for other in window if number in other.found] for number in numbers}
    faces: dict[int, Detection] = {}
    for number, face in _there(near, at, seen_in, smoothing.longest_gap).items():
        seen = [other for other in seen_in[number] if abs(other.index - moment.index) <= smoothing.landmark_reach]
        landmarks = face.landmarks
        if len(seen) > 1:
            times = torch.tensor([other.time for other in seen], dtype=torch.float64)
            points = torch.stack([other.found[number].landmarks for other in seen])
            landmarks = smooth_landmarks(times, points, moment.time, step, smoothing)
        faces[number] = Detection(box=face.box, landmarks=landmarks, score=face.score)
    return faces


def _there(
    near: Sequence[Moment], at: int, seen_in: Mapping[int, Sequence[Moment]], longest_gap: int
) -> dict[int, Detection]:
    """The faces of frame `at` by track, in order: those found, and those missed, between where they were seen.

    Where one that was missed lies over one that was found, both are one face, or one hides the other: the track that
    is seen in more frames is kept.
    """
    moment, flashes = near[at], _scene_goes_on(near[max(0, at - 1) : at + 2])
    faces = {number: face for number, face in moment.found.items() if len(seen_in[number]) > 1 or not flashes}
    for number in sorted(seen_in.keys() - moment.found.keys()):
        missed = _between(seen_in[number], moment, number, longest_gap)
        if missed is None:
            continue
        over = [other for other, face in faces.items() if _lie_together(face, missed)]
        if all(len(seen_in[other]) < len(seen_in[number]) for other in over):
            faces = {other: face for other, face in faces.items() if other not in over} | {number: missed}
    return dict(sorted(faces.items()))


def _scene_goes_on(around: Sequence[Moment]) -> bool:
    """Whether a frame, with the one before and the one after, is a moment of one scene; False where one is missing."""
    if len(around) < 3:
        return False
    return not any(moment.cut for moment in around[1:]) and around[-1].time - around[0].time <= _MOMENT


def _lie_together(face: Detection, other: Detection) -> bool:
    """Whether two faces of one frame are in one place."""
    apart = distance(face, other.landmarks)
    return apart is not None and apart < _TOGETHER


def over_time(near: Sequence[Moment], at: int, smoothing: Smoothing, *, parsed: bool) -> tuple[Tensor, CropMasks]:
    """Restored faces (N, 3, T, T) of frame `at` of `near` and their masks, averaged with the frames around it.

    parsed: a parser drew the masks, each frame's for itself; shapes need no mean.
    """
    moment, reach = near[at], smoothing.crop_reach
    crops, masks = [], []
    assert moment.masks is not None
    for row, number in enumerate(moment.numbers):
        run, centre = _run_of(near, at, number, reach)
        rows = [(other, other.numbers.index(number)) for other in run]
        crops.append(
            blend(
                [other.restored[k] for other, k in rows if other.restored is not None],
                [other.views[k] for other, k in rows if other.views is not None],
                centre,
                smoothing,
            )
        )
        plain = [other.masks.masks[k] for other, k in rows if other.masks is not None]
        masks.append(mean_mask(plain, centre, smoothing) if parsed else moment.masks.masks[row])
    return torch.stack(crops), replace(moment.masks, masks=masks)


def _spacing(window: Sequence[Moment]) -> float:
    """Mean seconds between frames."""
    if len(window) < 2:
        return 1.0
    return max(1e-6, (window[-1].time - window[0].time) / (len(window) - 1))


def _between(seen: Sequence[Moment], moment: Moment, number: int, longest_gap: int) -> Detection | None:
    """A face that was missed at `moment`, between where it was seen before and after; None where it was not."""
    before = [other for other in seen if other.index < moment.index]
    after = [other for other in seen if other.index > moment.index]
    if not before or not after or after[0].index - before[-1].index > longest_gap + 1:
        return None
    a, b = before[-1].found[number], after[0].found[number]
    share = (moment.time - before[-1].time) / max(1e-9, after[0].time - before[-1].time)
    return on_the_way(a, b, share)


def on_the_way(before: Detection, after: Detection, share: float) -> Detection:
    """A face at `share` of the way from where it was to where it will be, with the lower of both scores."""
    return Detection(
        box=torch.lerp(before.box, after.box, share),
        landmarks=torch.lerp(before.landmarks, after.landmarks, share),
        score=min(before.score, after.score),
    )


def _run_of(near: Sequence[Moment], at: int, number: int, reach: int) -> tuple[list[Moment], int]:
    """The frames around `at`, as many as `reach` both ways, in which the track is restored without a break, and where
    `at` is among them."""
    first = last = at
    while first > 0 and at - first < reach and number in near[first - 1].numbers:
        first -= 1
    while last + 1 < len(near) and last - at < reach and number in near[last + 1].numbers:
        last += 1
    return list(near[first : last + 1]), at - first
