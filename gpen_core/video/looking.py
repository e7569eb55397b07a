"""Which frames of a block the detector looks at, and where the faces are in those between."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

from torch import Tensor

from ..faces.types import Detection
from ..images import Picture
from ..options import Selection
from ..restore import FaceRestorer
from .neighbours import on_the_way
from .tracks import distance, is_another_face, is_another_scene, patch_of, small_luma

Finding = Callable[[Sequence[Picture]], Sequence[Sequence[Detection]]]

#: A face may move by this share of its size from one look to the next; where one moves more, all between is looked at.
_FARTHEST = 0.25
#: Down to this share of the least confidence a face that has been found goes on.
_GOES_ON = 2 / 3


def looked_for(selection: Selection) -> Selection:
    """What is looked for in the frames of a film: also faces of less confidence than `selection` asks, by which one
    that was found can be followed where it turns or blurs. Not where faces are counted: they would count as well.
    """
    if selection.indices is not None or selection.largest is not None:
        return selection
    return replace(selection, threshold=selection.threshold * _GOES_ON)


def find_in_film(
    restorer: FaceRestorer, pictures: Sequence[Picture], times: Sequence[float], selection: Selection, every: int
) -> list[list[Detection]]:
    """What `find_in_block` gives of a restorer's detector: the faces of `selection`, and the less sure ones that may go
    on with them.
    """
    find = partial(restorer.detect_together, selection=looked_for(selection))
    return find_in_block(find, pictures, times, every, selection.threshold)


def find_in_block(
    find: Finding, pictures: Sequence[Picture], times: Sequence[float], every: int, least: float = 0.0
) -> list[list[Detection]]:
    """The faces of each of `pictures`, consecutive frames of a film, of which `find` sees as few as it takes.

    It sees the first, the last, and those between so that no two are more than `every` frames apart. Where two looks
    in a row agree about who is there, of at least the confidence `least`, and a frame between them shows the scene and
    the faces of both, these are where they lie on the way from one look to the next, by `times` in seconds. All other
    frames it sees as well.
    """
    looks = looked_at(len(pictures), every)
    found = dict(zip(looks, find([pictures[k] for k in looks]), strict=True))
    for first, last in pairwise(looks):
        pairs = _same_faces(found[first], found[last], least)
        if pairs is None:
            continue
        ends = (
            _shown(pictures[first], [before for before, _ in pairs]),
            _shown(pictures[last], [after for _, after in pairs]),
        )
        for k in range(first + 1, last):
            share = (times[k] - times[first]) / max(1e-9, times[last] - times[first])
            faces = [on_the_way(before, after, share) for before, after in pairs]
            here = _shown(pictures[k], faces)
            if all(_is_the_same(here, end) for end in ends):
                found[k] = faces
    rest = [k for k in range(len(pictures)) if k not in found]
    found.update(zip(rest, find([pictures[k] for k in rest]) if rest else [], strict=True))
    return [list(found[k]) for k in range(len(pictures))]


def looked_at(count: int, every: int) -> list[int]:
    """Which of `count` frames are looked at in any case: evenly from the first to the last, `every` apart at most."""
    if count < 2:
        return list(range(count))
    steps = math.ceil((count - 1) / every)
    return [round(step * (count - 1) / steps) for step in range(steps + 1)]


def _same_faces(
    before: Sequence[Detection], after: Sequence[Detection], least: float
) -> list[tuple[Detection, Detection]] | None:
    """Each face of one look with itself in the next; None where somebody came, went, or moved far. Who has less than
    the confidence `least` need not be in both."""
    pairs, free = [], list(after)
    for face in sorted(before, key=lambda face: face.score < least):
        near = [(apart, k) for k, other in enumerate(free) if (apart := distance(other, face.landmarks)) is not None]
        apart, nearest = min(near, default=(_FARTHEST, 0))
        if apart < _FARTHEST:
            pairs.append((face, free.pop(nearest)))
        elif face.score >= least:
            return None
    return None if any(face.score >= least for face in free) else pairs


def _shown(picture: Picture, faces: Sequence[Detection]) -> tuple[Tensor, list[Tensor]]:
    """What a frame is compared by: its scene, and each of its faces."""
    return small_luma(picture.pixels), [patch_of(picture.pixels, face) for face in faces]


def _is_the_same(here: tuple[Tensor, list[Tensor]], there: tuple[Tensor, list[Tensor]]) -> bool:
    """Whether two frames show one scene, and the same faces in their places."""
    scenes, faces = (here[0], there[0]), zip(here[1], there[1], strict=True)
    return not is_another_scene(*scenes) and not any(is_another_face(*patches) for patches in faces)
