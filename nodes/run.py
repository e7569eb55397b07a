"""The core's networks as a running node calls them: cancel is asked before each batch."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..gpen_core.contracts import device_of
from ..gpen_core.errors import DeviceError
from . import adapter


class Watched:
    """A network, detector or parser that can be cancelled between two calls, and is else like the one inside.

    ComfyUI's patcher keeps account of where it is: it cannot be moved from here.
    """

    def __init__(self, part: Any) -> None:
        self._part = part

    @cached_property
    def device(self) -> torch.device:
        """Where the patcher has put it: it stays there for as long as a node runs."""
        return device_of(self._part)

    def __getattr__(self, name: str) -> Any:
        """What the core asks of the part: its configuration, card, or the size it works at."""
        return getattr(self._part, name)

    def to(self, device: torch.device | str) -> Any:
        """Raises DeviceError: it is ComfyUI that moves networks."""
        raise DeviceError(f"{self.device} has not enough memory for one face; start ComfyUI with --lowvram or --cpu")

    def __call__(self, inputs: Tensor) -> Any:
        """What the part gives. Memory running out is raised as the core knows it, so that it halves the batch."""
        if self.device.type == "cpu" and len(inputs) > 1:
            # A processor gains nothing by a batch, and may be so busy that a whole one keeps a cancel waiting.
            results = [self._called(inputs[index : index + 1]) for index in range(len(inputs))]
            if isinstance(results[0], Tensor):
                return torch.cat(results)
            return [found for result in results for found in result]
        return self._called(inputs)

    def _called(self, inputs: Tensor) -> Any:
        adapter.stop_if_cancelled()
        try:
            return self._part(inputs)
        except torch.cuda.OutOfMemoryError:
            adapter.release_memory()
            raise
        except RuntimeError as error:
            if not adapter.is_out_of_memory(error):
                raise
            adapter.release_memory()
            raise torch.cuda.OutOfMemoryError(str(error)) from error
