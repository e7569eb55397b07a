"""What a run does to its pictures: restore them, larger if asked, or only find faces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..background import Larger, Upscaler
from ..contracts import Detector
from ..images import Picture
from ..options import RestoreOptions, Selection
from ..restore import FaceRestorer
from ..restore.align import check_aligned
from ..restore.detect import find_faces
from ..restore.paste import StrengthOf
from .masks import Masks
from .results import Processed
from .steps import Process

if TYPE_CHECKING:
    from ..faces.types import Detection


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A result that pastes no face: a picture, and what was found in it or done to it."""

    picture: Picture
    faces: Sequence[Any] = ()
    changed: bool = False


def restoring(
    restorer: FaceRestorer,
    options: RestoreOptions,
    *,
    scale: int = 1,
    upscaler: Upscaler | None = None,
    aligned: bool = False,
    strength_of: StrengthOf | None = None,
    within: Masks | None = None,
    pasted: bool = True,
) -> Process:
    """Restores every face. scale: results so many times as wide and high, by `upscaler`, or bilinearly without one.

    aligned, strength_of: as `FaceRestorer.restore_many` takes them. within: what of each picture may change. Faces are
    found in the larger picture; the least and largest size of the options are those in the picture that came. pasted:
    False leaves pasting to who asks for the result's picture or faces, which may be in another process. Raises
    ConfigError at once for an option that aligned faces cannot honour.
    """
    if aligned:
        check_aligned(options)
    larger = Larger(scale=scale, upscaler=upscaler)
    options = larger.options(options)
    # A photograph's faces are found in what is enlarged already; an aligned face is taken as it came.
    apart = upscaler is not None or (aligned and scale != 1)

    def restored(pictures: Sequence[Picture]) -> Sequence[Processed]:
        plain = pictures if aligned else map(larger.plain, pictures)
        may_change = None if within is None else (_larger(within(picture), scale) for picture in pictures)
        canvases = map(larger.canvas, pictures) if apart else None
        parts = (None, None, may_change, canvases)
        unpasted = restorer.unpasted(plain, options, parts, aligned=aligned, strength_of=strength_of)
        return [one.result if pasted else one for one in unpasted]

    return restored


def _larger(mask: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
    return mask if scale == 1 else mask.repeat(scale, 0).repeat(scale, 1)


def finding(
    detector: Detector,
    selection: Selection,
    meant: Callable[[Picture, Sequence[Detection]], Sequence[Detection]] | None = None,
) -> Process:
    """Leaves the pictures as they are, with the faces that `selection` lets through, and of them those that `meant`
    picks out.
    """

    def found(picture: Picture) -> Processed:
        faces: Sequence[Detection] = find_faces(detector, picture, selection)
        return Outcome(picture=picture, faces=faces if meant is None else meant(picture, faces))

    return lambda pictures: [found(picture) for picture in pictures]
