"""Which model a task takes."""

from __future__ import annotations

from dataclasses import replace

from ..config import Task
from ..contracts import Model
from ..errors import WeightsError
from ..options import RestoreOptions

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


def for_task(options: RestoreOptions | None) -> RestoreOptions:
    """The options with which a task walks the road of restoration: what it makes is not weighed by what was there."""
    options = RestoreOptions.of(options)
    return replace(options, blending=replace(options.blending, keep_detail=False))
