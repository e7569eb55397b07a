"""Frames whose faces are only found, followed and drawn: what a run would restore."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..batch.preview import draw_faces
from ..faces.types import Detection
from ..film_options import Smoothing
from ..images import Picture, as_picture
from ..images.picture import to_depth
from ..options import RestoreOptions
from ..restore import FaceRestorer
from .choice import TrackChoice
from .flicker import Flicker
from .looking import find_in_film
from .moments import DoneFrame
from .neighbours import Moment
from .tracks import Tracker

if TYPE_CHECKING:
    from ..measures.person import Person


class FrameMarking:
    """Marks the faces of frames given in order, with the numbers of their tracks; called as `FrameRestoration` is.

    What it gives out lags one block behind. person: whose faces are marked; it, like `only_damaged`, decides as it does
    there, once for a track.
    """

    def __init__(
        self,
        restorer: FaceRestorer,
        options: RestoreOptions,
        smoothing: Smoothing | None,
        person: Person | None = None,
        detect_every: int = 1,
    ) -> None:
        self._restorer, self._options, self._detect_every = restorer, options, detect_every
        self._choice = TrackChoice(person, only_damaged=options.blending.only_damaged)
        self._tracker = Tracker(smoothing.longest_gap if smoothing else 0)
        self._held: list[DoneFrame] = []
        self._states = [self._tracker.state()]
        self.flicker = Flicker()

    def push(self, frames: Sequence[tuple[int, float, Any]]) -> Iterator[DoneFrame] | None:
        """Takes the next block: (index, time in seconds, picture) per frame; gives the one before, if any."""
        pictures = [as_picture(frame) for _, _, frame in frames]
        selection, times = self._options.selection, [time for _, time, _ in frames]
        found = find_in_film(self._restorer, pictures, times, selection, self._detect_every)
        seen = zip(frames, pictures, found, strict=True)
        moments = [self._followed(*frame[:2], picture, faces) for frame, picture, faces in seen]
        if self._choice.chooses:
            self._choose(moments)
        done, self._held = self._held, [self._marked(moment) for moment in moments]
        self._states = [self._states[-1], self._tracker.state()]
        return iter(done) if done else None

    def drain(self) -> Iterator[Iterator[DoneFrame]]:
        """The block still under way, after the last `push`."""
        self._states = self._states[-1:]
        if self._held:
            yield iter(self._held)

    @property
    def spared(self) -> tuple[int, ...]:
        """Tracks that are left unmarked, so far."""
        return self._choice.spared

    def _followed(self, index: int, time: float, picture: Picture, faces: Sequence[Detection]) -> Moment:
        found, cut = self._tracker.follow(index, picture.pixels, faces, self._options.selection.threshold)
        return Moment(index=index, time=time, picture=picture, found=found, cut=cut)

    def _choose(self, moments: Sequence[Moment]) -> None:
        """Lets go of the faces that a run would leave as they are."""
        shown = []
        for moment in moments:
            assert moment.picture is not None
            faces = self._restorer.align(moment.picture, list(moment.found.values()), self._options)
            shown.append((tuple(moment.found), faces.crops))
        meant = self._choice.meant(shown)
        for moment in moments:
            moment.found = {number: face for number, face in moment.found.items() if number in meant}

    def _marked(self, moment: Moment) -> DoneFrame:
        picture, found = moment.picture, moment.found
        assert picture is not None
        drawn = to_depth(draw_faces(picture, list(found.values()), tuple(found)).pixels, picture.pixels.dtype.type)
        changed = (drawn != picture.pixels).any(2)
        return DoneFrame(
            index=moment.index,
            picture=picture.with_pixels(drawn),
            faces=tuple(found.values()),
            changes=(((0, 0, picture.width, picture.height), changed),) if found else (),
            numbers=tuple(found),
            cut=moment.cut,
        )

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that `resume` needs to go on after the last block that was given out: tensors, and JSON values."""
        tensors, values = self._states[0]
        return dict(tensors), {"tracker": values, "choice": self._choice.state()}

    def resume(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Goes on from a `state`; nothing must have been pushed yet."""
        self._tracker = Tracker.from_state(tensors, values["tracker"])
        self._states = [self._tracker.state()]
        self._choice.resume(values.get("choice", {}))
