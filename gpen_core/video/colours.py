"""Frames as RGB to work on, and back into their own planes where something changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .library import load_av
from .orientation import Orientation

#: A rectangle x1, y1, x2, y2 (last ones excluded) and where in it (h, w) something changed.
Change = tuple[tuple[int, int, int, int], NDArray[np.bool_]]

_LIMITED, _FULL = 1, 2
_BT709, _BT601, _BT2020 = 1, 5, 9
#: FFmpeg's numbers of matrices (AVColorSpace) to those that its scaler knows.
_MATRICES = {1: _BT709, 4: 4, 5: _BT601, 6: _BT601, 7: 7, 9: _BT2020, 10: _BT2020}
#: From this height on an unlabelled film is high definition, whose matrix is BT.709.
_HIGH_DEFINITION = 720


def working_format(pixel_format: str, width: int, height: int, *, fields: bool = False) -> str:
    """The pixel format in which a film's frames are kept and encoded: its own where it is a planar YUV of 8 or 10
    bits, else the nearest. 4:2:0 and 4:2:2 need even sides to be encoded; films of odd sides become 4:4:4.

    fields: frames are two interlaced fields, whose lines of chroma are not to be mixed.
    """
    deep = load_av().VideoFormat(pixel_format).components[0].bits > 8
    sampling = "444" if any(m in pixel_format for m in ("444", "rgb", "bgr", "gbr", "rgba")) else "420"
    if "422" in pixel_format or pixel_format.startswith(("yuyv", "uyvy")) or (fields and "411" in pixel_format):
        sampling = "422"
    if (sampling != "444" and width % 2) or (sampling == "420" and height % 2):
        sampling = "444"
    return f"yuv{sampling}p{'10le' if deep else ''}"


def upright(frame: Any, orientation: Orientation, pixel_format: str) -> Any:
    """PyAV's frame in `pixel_format` (see `working_format`), as `orientation` makes it upright."""
    av = load_av()
    odd = orientation.turns % 2
    square = pixel_format.replace("422", "444") if odd else pixel_format
    converted = convert(frame, square)
    if orientation.turns or orientation.mirrored:
        size = (converted.height, converted.width) if odd else (converted.width, converted.height)
        turned = av.VideoFrame(*size, square)
        for k in range(3):
            plane_view(turned, k)[:] = orientation.applied(plane_view(converted, k))
        _label(turned, converted)
        converted = convert(turned, pixel_format)
    return converted


def convert(frame: Any, pixel_format: str) -> Any:
    """The frame in another pixel format, by the frame's own matrix and range."""
    if frame.format.name == pixel_format:
        return frame
    matrix, span = _matrix(frame), _span(frame)
    wanted = span
    if pixel_format.startswith("rgb"):
        wanted = _FULL
    elif is_rgb(frame.format.name):
        wanted = _LIMITED
    converted = frame.reformat(
        format=pixel_format,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=span,
        dst_color_range=wanted,
    )
    # The name `yuvj420p` says its range, `yuv420p` does not.
    converted.color_range = wanted
    return converted


def to_rgb(frame: Any, *, into: NDArray[Any] | None = None) -> NDArray[Any]:
    """(H, W, 3) uint8, or uint16 over its whole range where the frame has more than 8 bits.

    into: an array that an earlier call gave for a frame of the same film, to be written over.
    """
    deep = frame.format.components[0].bits > 8
    if not deep and not is_rgb(frame.format.name):
        # Straight from 4:2:0 and 4:2:2 of 8 bits, FFmpeg's fast conversion is a whole level too dark.
        frame = convert(frame, "yuv444p")
    converted = convert(frame, "rgb48le" if deep else "rgb24")
    plane, kind = converted.planes[0], np.uint16 if deep else np.uint8
    rows = np.frombuffer(plane, dtype=kind).reshape(frame.height, -1)
    pixels = np.empty((frame.height, frame.width, 3), dtype=kind) if into is None else into
    pixels.reshape(frame.height, -1)[:] = rows[:, : 3 * frame.width]
    return pixels


def from_rgb(pixels: NDArray[Any], like: Any) -> Any:
    """A frame of `pixels` (H, W, 3), of any size, in the pixel format, matrix and range of the frame `like`."""
    av = load_av()
    name = "rgb48le" if pixels.dtype == np.uint16 else "rgb24"
    matrix, span = _matrix(like), _span(like)
    made = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=name).reformat(
        format=like.format.name,
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=_FULL,
        dst_color_range=span,
    )
    made.color_range = span
    return made


def put_back(frame: Any, pixels: NDArray[Any], changes: Sequence[Change]) -> Any:
    """A frame like `frame` that shows `pixels` (H, W, 3) RGB where something changed; elsewhere its samples are
    `frame`'s, to the bit."""
    result = _copied(frame)
    height, width = pixels.shape[:2]
    for (x1, y1, x2, y2), changed in changes:
        # Even corners, so that chroma samples are not split; one more sample around them for the scaler's taps.
        left, top = max(0, x1 // 2 * 2 - 2), max(0, y1 // 2 * 2 - 2)
        right, bottom = min(width, (x2 + 1) // 2 * 2 + 2), min(height, (y2 + 1) // 2 * 2 + 2)
        part = pixels[top:bottom, left:right]
        samples = from_rgb(part, frame)
        here = np.zeros(part.shape[:2], dtype=np.bool_)
        here[y1 - top : y2 - top, x1 - left : x2 - left] = changed
        for k in range(3):
            target, source = plane_view(result, k), plane_view(samples, k)
            down, across = -(-height // target.shape[0]), -(-width // target.shape[1])
            where = _any_of(here, down, across)
            window = target[
                top // down : top // down + where.shape[0], left // across : left // across + where.shape[1]
            ]
            np.copyto(window, source, where=where)
    return result


def plane_view(frame: Any, index: int) -> NDArray[Any]:
    """(h, w) samples of a plane of a planar frame; writing to it alters the frame."""
    plane = frame.planes[index]
    kind = np.uint16 if frame.format.components[0].bits > 8 else np.uint8
    rows = np.frombuffer(plane, dtype=kind).reshape(plane.height, -1)
    view: NDArray[Any] = rows[:, : plane.width]
    return view


def _copied(frame: Any) -> Any:
    """A copy whose planes may be written; a decoder may still refer to the original's."""
    av = load_av()
    copy = av.VideoFrame(frame.width, frame.height, frame.format.name)
    for k in range(3):
        plane_view(copy, k)[:] = plane_view(frame, k)
    _label(copy, frame)
    return copy


def _label(frame: Any, like: Any) -> None:
    """Gives `frame` the colour labels of `like`."""
    frame.colorspace, frame.color_range = like.colorspace, like.color_range


def _any_of(marked: NDArray[np.bool_], down: int, across: int) -> NDArray[np.bool_]:
    """`marked` (h, w) at the resolution of a plane with a sample for every `down`×`across` pixels."""
    if down == across == 1:
        return marked
    rows, columns = -(-marked.shape[0] // down) * down, -(-marked.shape[1] // across) * across
    padded = np.zeros((rows, columns), dtype=np.bool_)
    padded[: marked.shape[0], : marked.shape[1]] = marked
    some: NDArray[np.bool_] = np.asarray(padded.reshape(rows // down, down, columns // across, across).any((1, 3)))
    return some


def is_rgb(pixel_format: str) -> bool:
    """Whether a pixel format, by FFmpeg's name, has no luma."""
    return pixel_format.startswith(("rgb", "bgr", "gbr", "argb", "abgr", "0rgb", "0bgr", "pal8"))


def labels_of(width: int, height: int) -> tuple[int, int, int, int]:
    """FFmpeg's numbers of range, matrix, primaries and transfer for what came from RGB."""
    high = min(width, height) >= _HIGH_DEFINITION
    return (_LIMITED, _BT709 if high else 6, 2, 2)


def _matrix(frame: Any) -> int:
    unlabelled = _BT709 if min(frame.width, frame.height) >= _HIGH_DEFINITION else _BT601
    return _MATRICES.get(int(frame.colorspace), unlabelled)


def _span(frame: Any) -> int:
    """Range of the samples: limited unless the frame says it is full, RGB always full."""
    name = frame.format.name
    full = int(frame.color_range) == _FULL or name.startswith("yuvj") or is_rgb(name)
    return _FULL if full else _LIMITED
