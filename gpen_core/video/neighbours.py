"""A frame on its way through the steps, and where a face is in the frames around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..faces.types import Detection, FaceCrops
from ..images import Picture
from ..restore.masks import CropMasks


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


def spacing(window: Sequence[Moment]) -> float:
    """Mean seconds between frames."""
    if len(window) < 2:
        return 1.0
    return max(1e-6, (window[-1].time - window[0].time) / (len(window) - 1))


def between(seen: Sequence[Moment], moment: Moment, number: int, longest_gap: int) -> Detection | None:
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


def run_of(near: Sequence[Moment], at: int, number: int, reach: int) -> tuple[list[Moment], int]:
    """The frames around `at`, as many as `reach` both ways, in which the track is restored without a break, and where
    `at` is among them."""
    first = last = at
    while first > 0 and at - first < reach and number in near[first - 1].numbers:
        first -= 1
    while last + 1 < len(near) and last - at < reach and number in near[last + 1].numbers:
        last += 1
    return list(near[first : last + 1]), at - first
