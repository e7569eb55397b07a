"""Frames to RGB and back: as bright, and in the colours, that a film's own numbers say."""

from __future__ import annotations

import av
import numpy as np
import pytest

from gpen_core.video.colours import from_rgb, plane_view, to_rgb

#: FFmpeg's number of a matrix → its weights of red and blue in luma.
MATRICES = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


def frame_of(pixel_format: str, *, full: bool = False, matrix: int = 6) -> av.VideoFrame:
    """A frame of smooth colours, none of them so strong that RGB could not hold it."""
    frame = av.VideoFrame(64, 48, pixel_format)
    frame.color_range, frame.colorspace = 2 if full else 1, matrix
    for plane, (low, high) in enumerate(((60, 190), (110, 140), (120, 145))):
        view = plane_view(frame, plane)
        down, across = (np.linspace(0, 1, n) for n in view.shape)
        way = down[:, None] * (1 - 0.3 * plane) + across[None] * 0.3 * plane
        view[:] = np.rint(low + (high - low) * way)
    return frame


def exact_rgb(frame: av.VideoFrame, *, full: bool, matrix: int) -> np.ndarray:
    """(H, W, 3) of 255, unrounded, with each sample of chroma for the pixels it stands for."""
    planes = [plane_view(frame, k).astype(np.float64) for k in range(3)]
    wide = [np.kron(p, np.ones((48 // p.shape[0], 64 // p.shape[1]))) for p in planes]
    y = wide[0] / 255 if full else (wide[0] - 16) / 219
    u, v = ((p - 128) / (255 if full else 224) for p in wide[1:])
    red, blue = MATRICES[matrix]
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    return 255 * np.stack([r, (y - red * r - blue * b) / (1 - red - blue), b], -1)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
def test_a_frame_is_as_bright_in_rgb_as_its_numbers_say(pixel_format, full, matrix):
    frame = frame_of(pixel_format, full=full, matrix=matrix)
    apart = (to_rgb(frame) - exact_rgb(frame, full=full, matrix=matrix)).mean((0, 1))
    assert np.abs(apart).max() < 0.3, apart


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p"])
@pytest.mark.parametrize("full", [False, True])
def test_what_goes_to_rgb_and_back_is_as_bright_as_before(pixel_format, full):
    frame = frame_of(pixel_format, full=full)
    back = from_rgb(to_rgb(frame), frame)
    apart = plane_view(back, 0).astype(np.float64) - plane_view(frame, 0)
    assert abs(apart.mean()) < 0.2
