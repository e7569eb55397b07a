"""Frames whose faces are only found, followed and drawn: what a run would restore."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from ..batch.preview import draw_faces
from ..film_options import Smoothing
from ..images import Picture, as_picture
from ..images.picture import to_depth
from ..options import RestoreOptions
from ..restore import FaceRestorer
from .flicker import Flicker
from .moments import DoneFrame
from .tracks import Tracker


class FrameMarking:
    """Marks the faces of frames given in order, with the numbers of their tracks; called as `FrameRestoration` is.

    What it gives out lags one block behind. spared: nobody is.
    """

    spared: tuple[int, ...] = ()

    def __init__(self, restorer: FaceRestorer, options: RestoreOptions, smoothing: Smoothing | None) -> None:
        self._restorer, self._selection = restorer, options.selection
        self._tracker = Tracker(smoothing.longest_gap if smoothing else 0)
        self._held: list[DoneFrame] = []
        self._states = [self._tracker.state()]
        self.flicker = Flicker()

    def push(self, frames: Sequence[tuple[int, float, Any]]) -> list[DoneFrame]:
        """Takes the next block: (index, time in seconds, picture) per frame; gives the one before."""
        done, self._held = self._held, [self._marked(index, as_picture(frame)) for index, _, frame in frames]
        self._states = [self._states[-1], self._tracker.state()]
        return done

    def drain(self) -> Iterator[list[DoneFrame]]:
        """The block still under way, after the last `push`."""
        self._states = self._states[-1:]
        yield self._held

    def _marked(self, index: int, picture: Picture) -> DoneFrame:
        faces = self._restorer.detect(picture, self._selection)
        found, cut = self._tracker.follow(index, picture.pixels, faces)
        drawn = to_depth(draw_faces(picture, list(found.values()), tuple(found)).pixels, picture.pixels.dtype.type)
        changed = (drawn != picture.pixels).any(2)
        return DoneFrame(
            index=index,
            picture=picture.with_pixels(drawn),
            faces=tuple(found.values()),
            changes=(((0, 0, picture.width, picture.height), changed),) if found else (),
            numbers=tuple(found),
            cut=cut,
        )

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that `resume` needs to go on after the last block that was given out: tensors, and JSON values."""
        tensors, values = self._states[0]
        return dict(tensors), {"tracker": values}

    def resume(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Goes on from a `state`; nothing must have been pushed yet."""
        self._tracker = Tracker.from_state(tensors, values["tracker"])
        self._states = [self._tracker.state()]
