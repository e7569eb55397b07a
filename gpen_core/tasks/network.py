"""A network with a task's two functions around it: what goes in is prepared, what comes out merged with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..config import ModelCard, Task
from ..errors import WeightsError
from ..restore import Model
from ..restore.run import device_of

#: Crops (N, 3, S, S) in [0, 1] to what the network is to see of them, alike.
Prepare = Callable[[Tensor], Tensor]
#: Crops (N, 3, S, S) and the network's result (N, 3, T, T), both in [0, 1], to the faces (N, 3, T, T).
Merge = Callable[[Tensor, Tensor], Tensor]

#: What each task is called at the shell.
VERBS: dict[Task, str] = {
    "restoration": "gpen restore",
    "colorization": "gpen colorize",
    "inpainting": "gpen inpaint",
    "segmentation": "gpen synthesize",
}


def check_task(model: Model, task: Task) -> None:
    """Raises WeightsError, naming both tasks, where `model` was trained for another one."""
    if model.card.task != task:
        raise WeightsError(
            f"{VERBS[task]} needs a model whose task is {task}; {model.card.name} is one for {model.card.task} "
            f"(that is `{VERBS[model.card.task]}`)"
        )


def unchanged(crops: Tensor) -> Tensor:
    """The crops as they are."""
    return crops


def result_alone(crops: Tensor, result: Tensor) -> Tensor:
    """The network's result as it is."""
    return result


class TaskNetwork:
    """`model` between `prepare` and `merge`; stands where a restorer's model stands, and says it restores."""

    def __init__(self, model: Model, *, prepare: Prepare = unchanged, merge: Merge = result_alone) -> None:
        self._model, self._prepare, self._merge = model, prepare, merge

    @property
    def config(self) -> Any:
        """The model's."""
        return self._model.config

    @property
    def card(self) -> ModelCard:
        """The model's, but for the task: what this does to a crop is a restoration to whoever calls it."""
        return replace(self._model.card, task="restoration")

    @property
    def device(self) -> torch.device:
        """Where the model computes at this moment."""
        return device_of(self._model)

    def __call__(self, x: Tensor) -> Tensor:
        """Faces (N, 3, out, out) for crops (N, 3, in, in), both in the card's value range."""
        low, high = self.card.value_range
        crops = (x.float() - low) / (high - low)
        result = self._model(self._prepare(crops) * (high - low) + low)
        merged = self._merge(crops, ((result - low) / (high - low)).clamp(0, 1))
        return merged * (high - low) + low
