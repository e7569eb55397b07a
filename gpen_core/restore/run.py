"""Third step: faces through a network, in batches sized to memory and to about a second of work."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from ..contracts import Model, device_of, sizes_for
from ..errors import DeviceError, InputError
from ..faces import levels
from ..faces.exposure import exposed, unexposed
from ..faces.sharpen import sharpened
from ..options import RestoreOptions

Network = Callable[[Tensor], Tensor]
#: Crops (N, 3, S, S) in [0, 1] to what a network is shown of them, alike.
Prepare = Callable[[Tensor], Tensor]

#: One batch should take about this long, so that progress and cancel stay lively.
_SECONDS = 1.0
#: Pixels of crops in one batch, at most: 16 faces at 512 px, or 4 on a CPU, which gains nothing from more and loses
#: its cache.
_PIXELS, _PIXELS_ON_CPU = 16 * 512 * 512, 4 * 512 * 512


def most_faces(device: torch.device | None, crop_size: int) -> int:
    """Faces of `crop_size` px that one batch takes on `device` (None: a CPU), at least 1."""
    pixels = _PIXELS_ON_CPU if device is None or device.type == "cpu" else _PIXELS
    return max(1, pixels // crop_size**2)


class BatchSizer:
    """How many faces go through the network next; it learns from what the last ones took.

    limit: the caller's own bound, or None. device: where the network computes.
    """

    def __init__(self, limit: int | None = None, device: torch.device | None = None) -> None:
        self._limit = limit
        self._device = device
        self._seconds_per_face: float | None = None

    def next(self, crop_size: int) -> int:
        """Faces of `crop_size` px in the next batch, at least 1."""
        # The first batch is small: nothing is known yet of the network's speed.
        timely = 2 if self._seconds_per_face is None else int(_SECONDS / self._seconds_per_face)
        fitting = most_faces(self._device, crop_size)
        return max(1, min(timely, fitting, fitting if self._limit is None else self._limit))

    def took(self, faces: int, seconds: float) -> None:
        """Learns that a batch of `faces` took `seconds`."""
        self._seconds_per_face = max(seconds / faces, 1e-6)

    def halve(self, faces: int) -> None:
        """Learns that `faces` did not fit into memory."""
        self._limit = max(1, faces // 2)


def run_network(network: Network, inputs: Tensor, sizer: BatchSizer) -> Tensor:
    """The network's outputs for `inputs` (N, C, S, S), on the device of `inputs`.

    When a CUDA device's memory does not hold the batch, it is halved; one face that is too much runs on the CPU, with
    a warning, where the network can be moved (`to`). Raises DeviceError where it cannot.
    """
    device = device_of(network)
    try:
        with torch.no_grad():
            return network(inputs.to(device)).to(inputs.device)
    except torch.cuda.OutOfMemoryError:
        pass  # what the network had made is let go with the error, before the cache is
    torch.cuda.empty_cache()
    count, size = len(inputs), inputs.shape[-1]
    if count > 1:
        sizer.halve(count)
        return torch.cat([run_network(network, part, sizer) for part in inputs.tensor_split(2)])
    said = f"{device} has not enough memory for one face of {size} px"
    move = getattr(network, "to", None)
    if move is None:
        raise DeviceError(f"{said}; use the CPU")
    warnings.warn(f"{said}, which runs on the CPU", stacklevel=2)
    move("cpu")
    try:
        with torch.no_grad():
            return network(inputs.to("cpu")).to(inputs.device)
    finally:
        move(device)


def run_faces(
    model: Model, crops: Tensor, options: RestoreOptions, sizer: BatchSizer, prepare: Prepare | None = None
) -> Tensor:
    """Restored faces (N, 3, T, T) in [0, 1] of one batch of crops (N, 3, S, S) in [0, 1].

    prepare: what the network is shown of them, the crops themselves without it. Faces in bad light are restored as
    usual ones are (see `exposed`), unless the options ask for what the reference does. Raises InputError where the
    network gives another shape than it says, DeviceError where its result is not finite.
    """
    card, size = model.card, sizes_for(model, crops.shape[-1]).out_size
    evened = card.task == "restoration" and prepare is None and not options.eight_bits
    shown, gains = exposed(crops) if evened else (crops, None)
    outputs = run_network(model, card.into_range(shown if prepare is None else prepare(shown)), sizer)
    if tuple(outputs.shape) != (len(crops), 3, size, size):
        raise InputError(
            f"the network gave shape {tuple(outputs.shape)}; its configuration says {(len(crops), 3, size, size)}"
        )
    if not bool(torch.isfinite(outputs.sum(dtype=torch.float32))):  # NaN and infinity survive a sum
        raise DeviceError("the network's result is not finite; load the model with precision='fp32'")
    restored = card.out_of_range(outputs).clamp_(0, 1)
    if gains is not None:
        restored = unexposed(restored, shown, gains, crops).clamp_(0, 1)
    amount = card.sharpen if options.sharpen is None else options.sharpen
    if amount:
        restored = sharpened(restored, crops, amount)
    return levels.truncate_(restored) if options.eight_bits else restored
