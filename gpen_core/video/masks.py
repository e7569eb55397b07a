"""Masks for the frames of a film: one picture for all of them, or a film of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..images import READABLE_SUFFIXES, read_picture
from ..images.picture import to_depth
from .colours import to_rgb, upright
from .info import FilmInfo, probe
from .orientation import UPRIGHT, Orientation
from .reading import FilmFrame, read_frames


class MaskSource:
    """Masks (H, W) float32 in [0, 1] by frame, asked for in rising order."""

    def __init__(
        self, still: NDArray[np.float32] | None, frames: Iterator[FilmFrame] | None, orientation: Orientation
    ) -> None:
        self._still, self._frames, self._orientation = still, frames, orientation

    def at(self, index: int) -> NDArray[np.float32]:
        """The mask of frame `index`. Raises InputError where the film of masks ends before."""
        if self._still is not None:
            return self._still
        assert self._frames is not None
        for frame in self._frames:
            if frame.index == index:
                return _unit(to_rgb(upright(frame.frame, self._orientation, "yuv444p")))
        raise InputError(f"the film of masks has no picture for frame {index}")


def refuse_missing(source: object) -> None:
    """Raises InputError for the path of masks where there is no file."""
    if isinstance(source, str | Path) and not Path(source).is_file():
        raise InputError(f"there is no file {source} with the film's masks; give a picture or a film (--film-mask)")


@contextmanager
def open_masks(source: str | Path | None, info: FilmInfo) -> Iterator[MaskSource | None]:
    """The masks for the film `info`; None where none are given.

    Raises InputError, naming both, for masks of another size or number of frames.
    """
    if source is None:
        yield None
        return
    path = Path(source)
    if path.suffix.lower() in READABLE_SUFFIXES:
        still = _unit(read_picture(path).pixels)
        _check_size(path, still.shape[1], still.shape[0], info)
        yield MaskSource(still, None, UPRIGHT)
        return
    masks = probe(path)
    _check_size(path, masks.width, masks.height, info)
    if masks.frames != info.frames:
        raise InputError(f"{path} holds {masks.frames} masks, {info.path} {info.frames} frames; give this film's masks")
    frames: Any = read_frames(masks)
    with closing(frames):
        yield MaskSource(None, frames, masks.orientation)


def _check_size(path: Path, width: int, height: int, info: FilmInfo) -> None:
    if (width, height) != (info.width, info.height):
        raise InputError(
            f"{path} is {width}×{height}, {info.path} {info.width}×{info.height}; a mask has its film's size"
        )


def _unit(pixels: NDArray[Any]) -> NDArray[np.float32]:
    mask: NDArray[np.float32] = to_depth(pixels, np.float32).mean(2, dtype=np.float32)
    return mask
