"""Faces through a network in batches sized to memory and to about a second of work."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import chain

import torch
from torch import Tensor

from ..errors import DeviceError

Network = Callable[[Tensor], Tensor]

#: One batch should take about this long, so that progress and cancel stay lively.
_SECONDS = 1.0
#: Pixels of crops in one batch, at most: 16 faces at 512 px, or 4 on a CPU, which gains nothing from more and loses
#: its cache.
_PIXELS, _PIXELS_ON_CPU = 16 * 512 * 512, 4 * 512 * 512


class BatchSizer:
    """How many faces go through the network next; it learns from what the last ones took.

    limit: the caller's own bound, or None. device: where the network computes.
    """

    def __init__(self, limit: int | None = None, device: torch.device | None = None) -> None:
        self._limit = limit
        self._pixels = _PIXELS_ON_CPU if device is None or device.type == "cpu" else _PIXELS
        self._seconds_per_face: float | None = None

    def next(self, crop_size: int) -> int:
        """Faces of `crop_size` px in the next batch, at least 1."""
        # The first batch is small: nothing is known yet of the network's speed.
        timely = 2 if self._seconds_per_face is None else int(_SECONDS / self._seconds_per_face)
        fitting = self._pixels // crop_size**2
        return max(1, min(timely, fitting, fitting if self._limit is None else self._limit))

    def took(self, faces: int, seconds: float) -> None:
        """Learns that a batch of `faces` took `seconds`."""
        self._seconds_per_face = max(seconds / faces, 1e-6)

    def halve(self, faces: int) -> None:
        """Learns that `faces` did not fit into memory."""
        self._limit = max(1, faces // 2)


def device_of(network: object) -> torch.device:
    """Where a network computes: its `device`, else where its first parameter or buffer lies, else the CPU."""
    device = getattr(network, "device", None)
    if isinstance(device, torch.device | str):
        return torch.device(device)
    if isinstance(network, torch.nn.Module):
        for tensor in chain(network.parameters(), network.buffers()):
            return tensor.device
    return torch.device("cpu")


def run_network(network: Network, inputs: Tensor, sizer: BatchSizer) -> Tensor:
    """The network's outputs for `inputs` (N, C, S, S), on the device of `inputs`.

    When a CUDA device's memory does not hold the batch, it is halved; one face that is too much runs on the CPU, with
    a warning. Raises DeviceError where it cannot.
    """
    device = device_of(network)
    try:
        with torch.no_grad():
            return network(inputs.to(device)).to(inputs.device)
    except torch.cuda.OutOfMemoryError as error:
        shortage = error
    torch.cuda.empty_cache()
    count, size = len(inputs), inputs.shape[-1]
    if count > 1:
        sizer.halve(count)
        return torch.cat([run_network(network, part, sizer) for part in inputs.tensor_split(2)])
    if not isinstance(network, torch.nn.Module):
        raise DeviceError(f"{device} has not enough memory for one face of {size} px; use the CPU") from shortage
    warnings.warn(f"{device} has not enough memory for one face of {size} px, which runs on the CPU", stacklevel=2)
    try:
        with torch.no_grad():
            outputs: Tensor = network.to("cpu")(inputs.to("cpu"))
            return outputs.to(inputs.device)
    finally:
        network.to(device)
