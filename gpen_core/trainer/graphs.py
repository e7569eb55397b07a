"""A step's launches recorded once and sent off together: small networks wait for Python far longer than for the GPU.

A CUDA graph repeats what it recorded on the same memory. So pictures are copied into a place of their own, gradients
come back in theirs, and what differs from step to step, the optimisers and the averages, stays outside.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..data import Batch
from ..errors import TrainingError

Log = dict[str, list[Tensor]]
Turn = Callable[[Batch, Log], None]
"""Adds the gradients of a batch to the parameters', and what it notes to the log; no value of a tensor is looked at."""

_WARM_STEPS = 3
"""Steps before the recording: libraries choose their kernels, and allocate, where nothing is recorded."""


@dataclass
class _Recorded:
    graph: torch.cuda.CUDAGraph
    gradients: list[tuple[nn.Parameter, Tensor]]
    log: Log


class Recorder:
    """Takes the turns of a step, and from the fourth step of a kind on replays them.

    Turns of one step share memory, and are always taken in the same order; each begins without gradients.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._begin(None)

    def _begin(self, kind: Hashable) -> None:
        self._kind, self._steps = kind, 0
        self._recorded: dict[torch.optim.Optimizer, _Recorded] = {}
        self._batch: Batch | None = None
        self._pool = None if kind is None else torch.cuda.graph_pool_handle()

    def step(self, kind: Hashable, batch: Batch) -> None:
        """Said before the turns of a step. kind: what they depend on beside the pictures; another one begins anew."""
        key = (kind, batch.clean.shape, batch.damaged.shape)
        if key != self._kind:
            self._begin(key)
        self._steps += 1
        if self._steps <= _WARM_STEPS:
            return
        if self._batch is None:
            damaged, clean = torch.empty_like(batch.damaged), torch.empty_like(batch.clean)
            self._batch = batch._replace(damaged=damaged, clean=clean)
        self._batch.damaged.copy_(batch.damaged)
        self._batch.clean.copy_(batch.clean)

    def take(self, optimiser: torch.optim.Optimizer, turn: Turn, batch: Batch, log: Log) -> None:
        """What `turn(batch, log)` does, the only one of the step that adds gradients to `optimiser`'s parameters."""
        if self._batch is None:
            with self.unrecorded():
                turn(batch, log)
            return
        recorded = self._recorded.get(optimiser)
        if recorded is None:
            parameters = [p for group in optimiser.param_groups for p in group["params"]]
            recorded = self._recorded[optimiser] = self._record(turn, self._batch, parameters)
        recorded.graph.replay()
        for parameter, gradient in recorded.gradients:
            parameter.grad = gradient
        for key, values in recorded.log.items():
            log.setdefault(key, []).extend(values)

    @contextlib.contextmanager
    def unrecorded(self) -> Iterator[None]:
        """What is done here is done as it is, where turns are recorded: autograd goes back on the streams that it came
        on.
        """
        here = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            yield
        here.wait_stream(self._stream)

    def _record(self, turn: Turn, batch: Batch, parameters: Sequence[nn.Parameter]) -> _Recorded:
        graph, log = torch.cuda.CUDAGraph(), Log()
        # New tensors on the same memory: who remembers what it saw of a tensor is not to take them for the last step's.
        given = batch._replace(damaged=batch.damaged.detach(), clean=batch.clean.detach())
        # Only this thread's calls are recorded; the loader's threads go on.
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                turn(given, log)
        except RuntimeError as error:
            raise TrainingError(f"a step could not be recorded, set run.cuda_graphs = false: {error}") from error
        gradients = [(p, p.grad) for p in parameters if p.grad is not None]
        return _Recorded(graph, gradients, log)
