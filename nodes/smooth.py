"""Faces of consecutive frames, smoothed along their tracks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from torch import Tensor

from ..gpen_core.faces.types import Detection
from ..gpen_core.film_options import Smoothing
from ..gpen_core.options import RestoreOptions, Selection
from ..gpen_core.restore import FaceRestorer, RestoredPicture
from ..gpen_core.video.moments import restore_frames
from . import pictures


class KnownFaces(FaceRestorer):
    """A restorer whose faces another finds: frame by frame, in order."""

    def __init__(self, restorer: FaceRestorer, frames: Iterable[Sequence[Detection]]) -> None:
        super().__init__(restorer.model, None, restorer.parser)
        self._frames = iter(frames)

    def detect(self, picture: Any, selection: Selection | None = None) -> list[Detection]:
        """The next frame's faces."""
        return list(next(self._frames))


def restored_smoothly(
    restorer: FaceRestorer, images: Tensor, found: Iterable[Sequence[Detection]], options: RestoreOptions
) -> Iterator[RestoredPicture]:
    """The frames with their faces restored, landmarks and faces smoothed along each face's track, in order.

    A face that is missed in a few frames is restored there as well.
    """
    frames = (pictures.frame_at(images, index) for index in range(len(images)))
    yield from restore_frames(frames, KnownFaces(restorer, found), options, smoothing=Smoothing())
