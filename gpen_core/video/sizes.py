"""How large the faces of a film are, and which of a model's networks restores them: one for all of it."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from ..contracts import larger_of
from ..images import Picture
from ..options import Selection
from ..restore import FaceRestorer
from ..restore.align import LARGE_FACE
from .colours import to_rgb, upright
from .reading import frames_along

if TYPE_CHECKING:
    from ..film_options import Decoder
    from .info import FilmInfo

#: Places of a film that are looked at.
_LOOKS = 12


def crop_size(
    restorer: FaceRestorer, info: FilmInfo, selection: Selection, pixel_format: str, decoder: Decoder = "cpu"
) -> tuple[int, tuple[str, ...]]:
    """At which of the model's input sizes the faces are cut out, and what is to be said of it.

    Where the model has two, the larger one from `LARGE_FACE` px on: the median over twelve places of the film of the
    largest face there. The same for the whole film: a network that changed with a face's size would be seen to.
    """
    small, larger = restorer.model.config.in_size, larger_of(restorer.model)
    if larger is None:
        return small, ()
    sizes = []
    for frame in frames_along(info, _LOOKS, decoder):
        pixels = to_rgb(upright(frame, info.orientation, pixel_format))
        if found := restorer.detect(Picture(pixels=pixels, pixel_aspect=info.aspect), selection):
            sizes.append(max(face.size for face in found))
    if not sizes or (usual := statistics.median(sizes)) < LARGE_FACE:
        return small, ()
    return larger.in_size, (f"faces are about {usual:.0f} px large: the network of {larger.in_size} px restores them",)
