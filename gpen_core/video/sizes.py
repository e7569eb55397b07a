"""How large the faces of a film are, and which of a model's networks restores them: one for all of it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..contracts import larger_of
from ..faces.types import Detection
from ..images import Picture
from ..options import Selection
from ..restore import FaceRestorer
from ..restore.align import size_for
from .colours import to_rgb, upright
from .reading import frames_along

if TYPE_CHECKING:
    from ..background import Larger
    from ..film_options import Decoder
    from .info import FilmInfo

#: Places of a film that are looked at.
_LOOKS = 12


def usual_side(frames: Iterable[Iterable[Detection]]) -> float | None:
    """The median over frames of the largest face in each, pixels; None where no frame has one."""
    largest = [max(sizes) for faces in frames if (sizes := [face.size for face in faces])]
    return statistics.median(largest) if largest else None


def crop_size(
    restorer: FaceRestorer,
    info: FilmInfo,
    selection: Selection,
    pixel_format: str,
    decoder: Decoder = "cpu",
    larger: Larger | None = None,
) -> tuple[int, tuple[str, ...]]:
    """At which of the model's input sizes the faces of a film are cut out, and what is to be said of it.

    What `size_for` says of the usual side over twelve places of the film, in the picture that faces are cut from. The
    same for the whole film: a network that changed with a face's size would be seen to. larger: makes that picture;
    selection: of the faces in it.
    """
    small = restorer.model.config.in_size
    if larger_of(restorer.model) is None:
        return small, ()

    def found(frame: Any) -> list[Detection]:
        pixels = to_rgb(upright(frame, info.orientation, pixel_format))
        picture = Picture(pixels=pixels, pixel_aspect=info.aspect)
        return restorer.detect(picture if larger is None else larger.plain(picture), selection)

    usual = usual_side(found(frame) for frame in frames_along(info, _LOOKS, decoder))
    size = small if usual is None else size_for(restorer.model, usual)
    if size == small:
        return small, ()
    return size, (f"faces are about {usual:.0f} px large: the network of {size} px restores them",)
