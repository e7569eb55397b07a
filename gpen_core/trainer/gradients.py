"""The mean gradient of all processes, sent off while the backward pass still runs.

What DistributedDataParallel does for one forward and one backward pass, for a step of a GAN: R1 and the path length
differentiate twice, the generator's pass is shared by two turns, and each turn has a graph of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, distributed, nn

if TYPE_CHECKING:
    from .optimise import Processes

# As DistributedDataParallel: large enough for the network, small enough to begin early.
_BUCKET_BYTES = 25_000_000


class Gradients:
    """Those of `parameters`, on every process the same ones in the same order; all processes take the same turns.

    bucket_bytes: about how much is sent at once.
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], processes: Processes, *, bucket_bytes: int = _BUCKET_BYTES
    ) -> None:
        self._alone = processes.num_processes == 1
        self._count = processes.num_processes
        self._coming = False
        self._buckets: list[list[nn.Parameter]] = []
        self._sent: list[tuple[list[nn.Parameter], Tensor, Any]] = []
        self._waiting: list[set[int]] = []
        if self._alone:
            return
        # Gradients come in the order opposite to that of the forward pass.
        for parameter in reversed(parameters):
            if not self._buckets or sum(p.nbytes for p in self._buckets[-1]) >= bucket_bytes:
                self._buckets.append([])
            place = len(self._buckets) - 1
            self._buckets[place].append(parameter)
            parameter.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
                lambda p, place=place: self._has_come(p, place)
            )

    def gather(self) -> None:
        """Nothing: every process has all parameters."""

    def release(self) -> None:
        """Nothing, as `gather`."""

    def expect(self, *, last: bool) -> None:
        """Said before a backward pass. last: whether it is the last before `average`."""
        self._coming = last and not self._alone
        if self._coming:
            self._waiting = [{id(p) for p in bucket} for bucket in self._buckets]

    def average(self) -> None:
        """Makes every gradient the mean over all processes. A parameter without one, on all alike, keeps none."""
        if self._alone:
            return
        self._coming = False
        while len(self._sent) < len(self._buckets):
            self._send()
        for parameters, flat, work in self._sent:
            if work is not None:
                work.wait()
                parts = torch.split(flat / self._count, [p.numel() for p in parameters])
                for parameter, part in zip(parameters, parts, strict=True):
                    parameter.grad = part.view_as(parameter)
        self._sent = []

    def _has_come(self, parameter: Tensor, place: int) -> None:
        if not self._coming:
            return
        self._waiting[place].discard(id(parameter))
        # In one order everywhere, whichever came first.
        while len(self._sent) < len(self._buckets) and not self._waiting[len(self._sent)]:
            self._send()

    def _send(self) -> None:
        parameters = [p for p in self._buckets[len(self._sent)] if p.grad is not None]
        gradients = [p.grad.flatten() for p in parameters if p.grad is not None]
        flat = torch.cat(gradients) if gradients else torch.zeros(0)
        work = distributed.all_reduce(flat, async_op=True) if gradients else None
        self._sent.append((parameters, flat, work))
