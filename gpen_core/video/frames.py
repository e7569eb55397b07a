"""Frames in, the same frames with their faces restored out, smoothed along the time."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..faces.types import Detection
from ..film_options import BLOCK, Smoothing
from ..images import convert_like
from ..options import RestoreOptions
from ..restore import FaceRestorer, RestoredPicture
from .moments import DoneFrame, FrameRestoration

if TYPE_CHECKING:
    from ..background import Larger


def restore_frames(
    frames: Iterable[Any],
    restorer: FaceRestorer,
    options: RestoreOptions | None = None,
    *,
    smoothing: Smoothing | None = None,
    rate: float = 25.0,
    detections: Iterable[Sequence[Detection]] | None = None,
    larger: Larger | None = None,
) -> Iterator[RestoredPicture]:
    """The frames with their faces restored, in order, smoothed along each face's track.

    frames: each anything that `FaceRestorer.restore` takes; `picture` of a result is of the same kind.
    smoothing: None is no smoothing. rate: frames a second. detections: the faces of each frame, instead of the
    detector's. larger: makes results larger; detections are those of the frames that came. A few dozen frames are held
    at a time. Raises InputError for fewer detections than frames.
    """
    if larger is not None:
        options = larger.options(options or RestoreOptions())
    run = FrameRestoration(restorer, options, smoothing, larger=larger)
    given: deque[Any] = deque()

    def in_kind(done: Iterable[DoneFrame]) -> Iterator[RestoredPicture]:
        for frame in done:
            assert frame.result is not None
            yield replace(frame.result, picture=convert_like(frame.result.decoded, given.popleft()))

    numbered, known = enumerate(frames), None if detections is None else iter(detections)
    while block := list(itertools.islice(numbered, BLOCK)):
        given.extend(frame for _, frame in block)
        faces = None if known is None else list(itertools.islice(known, len(block)))
        if faces is not None and len(faces) < len(block):
            came = block[-1][0] + 1
            raise InputError(
                f"detections holds the faces of {block[0][0] + len(faces)} frames, and at least {came} frames came; "
                "give one list a frame, an empty one where there is no face"
            )
        if faces is not None and larger is not None:
            faces = [[face.scaled(larger.scale, larger.scale) for face in found] for found in faces]
        yield from in_kind(run.push([(index, index / rate, frame) for index, frame in block], faces) or ())
    for rest in run.drain():
        yield from in_kind(rest)
