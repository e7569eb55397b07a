"""`torch.compile` and CUDA graphs for the inference form, and clear refusals where they cannot work."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import DeviceError
from .operators import LEAKY_SLOPE


def check_compiler(device: torch.device) -> None:
    """Raises DeviceError where `torch.compile` lacks the compiler it needs for `device`."""
    if device.type == "cuda":
        if importlib.util.find_spec("triton") is None:
            raise DeviceError("torch.compile needs Triton for a GPU; install triton, or leave compile off")
        return
    named = os.environ.get("CXX")
    candidates = [named] if named else ["g++", "clang++", "cl"]
    if not any(shutil.which(candidate) for candidate in candidates):
        raise DeviceError(
            f"torch.compile needs a C++ compiler, and there is no {' or '.join(candidates)}; "
            "install g++ (or name one in CXX), or leave compile off"
        )


def check_graphs(device: torch.device) -> None:
    """Raises DeviceError unless `device` can record CUDA graphs."""
    if device.type != "cuda":
        raise DeviceError(f"CUDA graphs need a CUDA device, the model is on {device}; leave graph off")


def _biased(out: Tensor, x: Tensor, bias: Tensor) -> None:
    out.copy_(F.leaky_relu(x + bias, LEAKY_SLOPE))


def _scaled_and_biased(out: Tensor, x: Tensor, scale: Tensor, bias: Tensor) -> None:
    out.copy_(F.leaky_relu(x * scale + bias, LEAKY_SLOPE))


def compiled_activation() -> Callable[[Tensor, Tensor, Tensor | None, Tensor], None]:
    """What `folded.activate` does for a single face, compiled to one pass over memory."""
    biased, scaled = torch.compile(_biased, dynamic=True), torch.compile(_scaled_and_biased, dynamic=True)

    def activate(out: Tensor, x: Tensor, scale: Tensor | None, bias: Tensor) -> None:
        # Without the batch and with scales of one shape, few versions serve all sizes: torch allows eight.
        channels = out.shape[1]
        shift = bias.reshape(channels, 1, 1)
        if scale is None:
            biased(out[0], x[0], shift)
        else:
            scaled(out[0], x[0], scale.reshape(-1, 1, 1).expand(channels, 1, 1).contiguous(), shift)

    return activate


class Graphed:
    """A function of one tensor as CUDA graphs, one for each shape, recorded when first met.

    A replay costs one launch; its result is copied out, so that the next call does not overwrite it.
    """

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        self._function = function
        self._recorded: dict[tuple[torch.Size, torch.dtype], tuple[torch.cuda.CUDAGraph, Tensor, Tensor]] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """What the function gives for `x`."""
        key = (x.shape, x.dtype)
        if key not in self._recorded:
            self._recorded[key] = self._record(x)
        graph, given, result = self._recorded[key]
        given.copy_(x)
        graph.replay()
        return result.clone()

    def _record(self, x: Tensor) -> tuple[torch.cuda.CUDAGraph, Tensor, Tensor]:
        given = x.clone()
        # Warm-up on a side stream, as recording asks: libraries choose their algorithms and allocate there.
        side = torch.cuda.Stream(x.device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(x.device))
        with torch.cuda.stream(side):
            for _ in range(3):
                self._function(given)
        torch.cuda.current_stream(x.device).wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # Another thread may use the device meanwhile, to look for faces.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            result = self._function(given)
        return graph, given, result
