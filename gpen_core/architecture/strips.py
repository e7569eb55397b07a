"""Large activations in strips of rows, and memory that is used again.

On a CPU a tensor beyond the allocator's limit (32 MiB with glibc) comes from the system at every call, and touching its
fresh pages costs more than most operations on it. So filters run on strips of rows whose results stay below that limit,
and what has to stand whole is written into buffers that the next face uses again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

STRIP_BYTES = 8 * 2**20
"""The most that one strip of an activation takes on a CPU: four fit the last-level cache beside the weights."""

KEPT_BYTES = 2**30
"""Buffers of all faces that are under way together; those beyond it are given back after each call."""


def strips(height: int, row_bytes: int, device: torch.device) -> Iterator[tuple[int, int]]:
    """The rows (start, stop) of each strip of a picture of `height` rows; one strip where the device is not a CPU."""
    rows = height
    if device.type == "cpu":
        while rows > 8 and rows * row_bytes > STRIP_BYTES:
            rows //= 2
    for start in range(0, height, rows):
        yield start, min(start + rows, height)


def filtered_rows(
    x: Tensor, start: int, stop: int, *, taps: int, padding: int, filter_: Callable[[Tensor, int], Tensor]
) -> Tensor:
    """Rows [start, stop) of `filter_(x, padding)`, computed from the rows of `x` (B, C, H, W) that they depend on.

    filter_: takes rows and how many rows of zeros to put above and below; `taps` rows of its input make one of its
    output (stride 1).
    """
    top, bottom = start - padding, stop - padding + taps - 1
    if top >= 0 and bottom <= x.shape[2]:
        return filter_(x[:, :, top:bottom], 0)
    # At the picture's edge: zeros on both sides, and the rows that met a false zero are dropped.
    first, last = max(top, 0), min(bottom, x.shape[2])
    return filter_(x[:, :, first:last], padding)[:, :, start - first : stop - first]


class Workspace:
    """Buffers by name, channels last. What `take` gives holds whatever the last taker left there."""

    def __init__(self) -> None:
        self._buffers: dict[str, Tensor] = {}

    def take(self, name: str, shape: tuple[int, int, int, int], dtype: torch.dtype, device: torch.device) -> Tensor:
        """The buffer `name`, made anew where shape, dtype or device differ from the last time."""
        buffer = self._buffers.get(name)
        if buffer is None or buffer.shape != shape or buffer.dtype != dtype or buffer.device != device:
            with torch.inference_mode(False):  # one made in that mode could not be used again out of it
                buffer = torch.empty(shape, dtype=dtype, device=device, memory_format=torch.channels_last)
            self._buffers[name] = buffer
        return buffer

    @property
    def nbytes(self) -> int:
        """What the buffers take together."""
        return sum(buffer.nbytes for buffer in self._buffers.values())
