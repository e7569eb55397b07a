"""TIFF of 16 bits, of floats, and in separate planes, through Pillow's decoder of bytes.

Pillow knows no mode for most of these, and takes planes of 16 bits for ones of 8. Shown to it as a grey picture
of bytes, `itemsize` × channels as wide, every compression that it knows gives the bytes as they were stored; the
numbers, and the differences that stand for them (TIFF 6.0 §14, and Adobe's note on floats), are made of them here.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile, TiffImagePlugin

from .damage import guarded
from .directory import TIFF_MAGIC, Directory, DirectoryError, read_directory

Samples = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]
Load = Callable[[ImageFile.ImageFile], None]

#: JPEG in TIFF is decoded by Pillow to what it is.
_WITHOUT_BYTES = frozenset((6, 7, 34712, 50001, 50002))
_KINDS = {(8, 1): "u1", (16, 1): "u2", (16, 3): "f2", (32, 3): "f4", (64, 3): "f8"}


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Where a TIFF's samples stand. channels: of one plane; planes: 1 where the channels are interleaved."""

    width: int
    height: int
    kind: np.dtype[Any]
    channels: int
    planes: int
    tile: tuple[int, int] | None


def find_deep_tiff(data: bytes, path: Path, page: int) -> DeepTiff | None:
    """The page, undecoded; None where the file is no TIFF, or Pillow is to judge the page.

    Raises DamageError where its layout makes no sense.
    """
    if data[:4] not in TIFF_MAGIC:
        return None
    with guarded(f"{path} is damaged: its layout makes no sense"):
        try:
            directory = read_directory(data, page)
            layout = _layout(directory)
        except DirectoryError:
            return None
    return None if layout is None else DeepTiff(directory=directory, layout=layout)


@dataclass(frozen=True, kw_only=True)
class DeepTiff:
    """A page of a TIFF that Pillow has no mode for."""

    directory: Directory
    layout: _Layout

    def plain(self) -> bytes:
        """A file whose first directory tells of 8 bits, and all else that this one tells: for its metadata."""
        colours = 3 if self.directory.number(262, 1) == 2 else 1
        return self.directory.changed(
            {258: (8,) * colours, 277: (colours,), 262: (colours // 2 + 1,), **dict.fromkeys((284, 317, 338, 339))}
        )

    def samples(self, load: Load) -> Samples:
        """(H, W, C), C = 1…4; floats of 16 and 64 bits become 32. load decodes an image. Raises what it raises."""
        planes = [_plane(self.directory, self.layout, plane, load) for plane in range(self.layout.planes)]
        together = planes[0] if self.layout.planes == 1 else np.concatenate(planes, axis=2)
        return _without_extras(together, self.directory)


def _layout(directory: Directory) -> _Layout | None:
    bits, photometric = set(directory.numbers(258, (1,))), directory.number(262, 1)
    forms, planar = set(directory.numbers(339, (1,))), directory.number(284, 1)
    channels = directory.number(277, 1)
    if len(bits) > 1 or len(forms) > 1 or directory.number(259, 1) in _WITHOUT_BYTES or photometric > 2:
        return None
    kind = _KINDS.get((bits.pop(), forms.pop()))
    if kind is None or (kind == "u1" and (planar != 2 or channels == 1)):
        return None
    width, height = directory.number(256, 0), directory.number(257, 0)
    tile = (directory.number(322, 0), directory.number(323, 0)) if 322 in directory.entries else None
    if width < 1 or height < 1 or not 1 <= channels <= 32 or (tile is not None and min(tile) < 1):
        raise DirectoryError(f"{width}×{height} pixels of {channels} channels")
    separate = planar == 2 and channels > 1
    return _Layout(
        width=width,
        height=height,
        kind=np.dtype(directory.order + kind),
        channels=1 if separate else channels,
        planes=channels if separate else 1,
        tile=tile,
    )


def _plane(directory: Directory, layout: _Layout, plane: int, load: Load) -> NDArray[Any]:
    """(H, W, channels) of one plane, in the machine's byte order."""
    pixel = layout.kind.itemsize * layout.channels
    # the last tile of a row is decoded whole: its differences may run over bytes that the picture has not
    step = layout.width if layout.tile is None else layout.tile[0]
    across = -(-layout.width // step) * step
    changes: dict[int, tuple[int, ...] | bytes | None] = {
        256: (across * pixel,),
        258: (8,),
        262: (1,),
        277: (1,),
        **dict.fromkeys((284, 317, 320, 338, 339)),
    }
    for offsets, counts in ((273, 279), (324, 325)):
        if offsets in directory.entries:
            here = _of_plane(directory.numbers(offsets), plane, layout.planes)
            changes[offsets] = here
            if counts in directory.entries:
                changes[counts] = _of_plane(directory.numbers(counts), plane, layout.planes)
    if layout.tile is not None:
        changes[322] = (layout.tile[0] * pixel,)
    image = TiffImagePlugin.TiffImageFile(io.BytesIO(directory.changed(changes)))
    load(image)
    stored: NDArray[np.uint8] = np.array(image)
    if stored.shape != (layout.height, across * pixel):
        raise DirectoryError(f"{stored.shape} bytes where {(layout.height, across * pixel)} were expected")
    predictor = directory.number(317, 1)
    values = _sums_of_bytes(stored, layout, step) if predictor == 3 else stored.view(layout.kind)
    values = values.astype(layout.kind.newbyteorder("="), copy=False)
    if predictor == 2:
        whole = values.view(f"u{layout.kind.itemsize}").reshape(layout.height, -1, step, layout.channels)
        values = np.add.accumulate(whole, axis=2, dtype=whole.dtype).view(values.dtype)
    pixels: NDArray[Any] = values.reshape(layout.height, across, layout.channels)
    return pixels[:, : layout.width]


def _of_plane(values: tuple[int, ...], plane: int, planes: int) -> tuple[int, ...]:
    each = len(values) // planes
    return values[plane * each : (plane + 1) * each]


def _sums_of_bytes(stored: NDArray[np.uint8], layout: _Layout, step: int) -> NDArray[Any]:
    """Floats of bytes that were sorted by significance, highest first, and then differenced."""
    rows = stored.reshape(layout.height, -1, step * layout.kind.itemsize, layout.channels)
    sums = np.add.accumulate(rows, axis=2, dtype=np.uint8)
    sums = sums.reshape(layout.height, -1, layout.kind.itemsize, step * layout.channels)
    together = np.ascontiguousarray(sums.swapaxes(2, 3))
    values: NDArray[Any] = together.view(layout.kind.newbyteorder(">")).reshape(layout.height, -1)
    return values


def _without_extras(samples: NDArray[Any], directory: Directory) -> Samples:
    """Grey or RGB, with alpha where the file has one; colours not multiplied by it, white high, floats of 32 bits."""
    photometric, extras = directory.number(262, 1), directory.numbers(338)
    colours = 3 if photometric == 2 else 1
    if samples.shape[2] < colours:
        raise DirectoryError(f"{samples.shape[2]} channels where RGB has 3")
    if samples.dtype.kind == "f":
        samples = samples.astype(np.float32)
    with_alpha = samples.shape[2] > colours and bool(extras) and extras[0] in (1, 2)
    kept = samples[..., : colours + with_alpha]
    if photometric == 0:
        top = 1.0 if kept.dtype.kind == "f" else np.iinfo(kept.dtype).max
        kept = np.concatenate([top - kept[..., :1], kept[..., 1:]], axis=2).astype(kept.dtype)
    if with_alpha and extras[0] == 1:
        kept = _divided(kept)
    return kept


def _divided(samples: NDArray[Any]) -> NDArray[Any]:
    """Colours that were multiplied by their alpha, as they were before."""
    alpha = samples[..., -1:].astype(np.float64)
    top = 1.0 if samples.dtype.kind == "f" else float(np.iinfo(samples.dtype).max)
    colours = samples[..., :-1].astype(np.float64) * top / np.maximum(alpha, 1e-6 if top == 1.0 else 1.0)
    colours = np.clip(colours, 0, top)
    colours = colours if samples.dtype.kind == "f" else np.rint(colours)
    return np.concatenate([colours.astype(samples.dtype), samples[..., -1:]], axis=2)
