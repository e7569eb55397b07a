"""The loop: one for all stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..data import Batch, Feed, plan
from ..errors import TrainingError
from .checkpoint import (
    copy_checkpoint,
    list_checkpoints,
    prune_checkpoints,
    read_checkpoint,
    write_checkpoint,
)
from .log import Log
from .optimise import load_optimiser, optimiser_tensors
from .progress import Progress
from .recipe import Recipe
from .step import Stepper
from .validation import Validation

CHECKPOINTS, BEST = "checkpoints", "best"
Report = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When a call to `Loop.run` ends; None: no limit of this kind. stopping: asked before every step."""

    minutes: float | None = None
    images: int | None = None
    stopping: Callable[[], bool] = lambda: False


class Loop:
    """Takes steps until a limit, writes checkpoints, logs, validates.

    out: the run's folder. rank: of this process; only the first writes. validation: None for neither figures nor grids.
    """

    def __init__(
        self, stepper: Stepper, feed: Feed, out: Path, *, rank: int = 0, validation: Validation | None = None
    ) -> None:
        self.stepper, self.feed, self.out = stepper, feed, out
        self._rank, self._validation = rank, validation
        self.recipe: Recipe = stepper.recipe
        self._checkpoints = out / CHECKPOINTS

    @property
    def progress(self) -> Progress:
        """How far the run has come."""
        return self.stepper.progress

    def resume(self) -> bool:
        """Goes on from the last checkpoint; False where there is none. Raises TrainingError for one of another run."""
        found = list_checkpoints(self._checkpoints)
        if not found:
            return False
        tensors, state = read_checkpoint(found[-1])
        mine, theirs = _identity(self.recipe), _identity(Recipe.from_dict(state["recipe"]))
        differing = [f"{key}: {theirs[key]} there, {mine[key]} here" for key in mine if mine[key] != theirs[key]]
        if differing:
            raise TrainingError(
                f"{found[-1]} is of another run ({'; '.join(differing)}); use its recipe, another --out, or --fresh"
            )
        stepper = self.stepper
        stepper.progress = Progress.from_dict(state["progress"])
        for name, network in (
            ("generator", stepper.stage.generator),
            ("average", stepper.average),
            ("discriminator", stepper.stage.discriminator),
        ):
            network.load_state_dict(_under(tensors, name))
        load_optimiser(stepper.generator_adam, _under(tensors, "generator_adam"))
        load_optimiser(stepper.discriminator_adam, _under(tensors, "discriminator_adam"))
        return True

    def run(self, limits: Limits, report: Report) -> None:
        """Steps until a limit or the recipe's max_images; a checkpoint at the end. report: called after every step."""
        recipe, processes = self.recipe, self.stepper.processes
        log = Log(self.out, self.progress.steps) if self._rank == 0 else None
        positions = plan(
            self.progress.images,
            size=recipe.data.batch,
            accumulate=recipe.data.accumulate,
            rank=self._rank,
            ranks=processes.num_processes,
        )
        batches = self.feed.batches(positions, workers=recipe.data.workers, pin=self.stepper.device.type == "cuda")
        began = saved = time.monotonic()
        spent = self.progress.seconds
        last = recipe.run.max_images if limits.images is None else min(recipe.run.max_images, limits.images)
        try:
            while self.progress.images < last and not self._over(began, limits):
                micro = [
                    self.feed.finish(next(batches), self.stepper.device, self.stepper.dtype)
                    for _ in range(recipe.data.accumulate)
                ]
                before = self.progress.images
                losses = self.stepper.take(micro)
                self.progress.seconds = spent + time.monotonic() - began
                self._observe(log, losses, before, micro, report)
                if recipe.run.checkpoint_minutes and time.monotonic() - saved > recipe.run.checkpoint_minutes * 60:
                    self.save()
                    saved = time.monotonic()
            self.save()
        finally:
            if log is not None:
                log.close()

    def save(self) -> None:
        """Writes a checkpoint and drops the oldest."""
        if self._rank != 0:
            return
        stepper, run = self.stepper, self.recipe.run
        folder = self._checkpoints / f"{self.progress.images:012d}"
        state = {"recipe": self.recipe.to_dict(), "progress": self.progress.to_dict()}
        write_checkpoint(folder, _all_tensors(stepper), state, part_bytes=int(run.part_megabytes * 1_000_000))
        prune_checkpoints(self._checkpoints, run.keep)

    def _observe(
        self, log: Log | None, losses: Mapping[str, Tensor], before: int, micro: Sequence[Batch], report: Report
    ) -> None:
        if log is None:
            return
        run, progress = self.recipe.run, self.progress
        values = {}
        if progress.steps % run.log_every == 0 or progress.steps == 1:
            values = {name: float(value) for name, value in losses.items()}
            values |= {
                "images_per_second": progress.images / max(progress.seconds, 1e-9),
                "skipped": float(progress.skipped),
                "augment": progress.augment,
            }
            log.scalars(progress.steps, progress.images, values)
        report(progress.images, values)
        if _crossed(before, progress.images, run.grid_every) and self._validation is not None:
            log.picture(progress.steps, "samples", self._validation.grid(self.stepper))
        if (
            _crossed(before, progress.images, run.validate_every)
            and self._validation is not None
            and self.stepper.stage.paired
        ):
            figures = self._validation.figures(self.stepper)
            log.scalars(progress.steps, progress.images, figures, group="validation")
            self._keep_best(figures)

    def _keep_best(self, figures: Mapping[str, float]) -> None:
        name = self.recipe.run.best
        if name not in figures:
            return
        score = -figures[name] if name == "lpips" else figures[name]
        if self.progress.best is None or score > self.progress.best:
            self.progress.best = score
            self.save()
            copy_checkpoint(self._checkpoints / f"{self.progress.images:012d}", self.out / BEST)

    def _over(self, began: float, limits: Limits) -> bool:
        over = limits.stopping() or (limits.minutes is not None and time.monotonic() - began >= limits.minutes * 60)
        processes = self.stepper.processes
        if processes.num_processes == 1:
            return over
        # Clocks differ: the processes stop together, as soon as one of them would.
        return bool(processes.reduce(torch.tensor(float(over), device=self.stepper.device), "sum") > 0)


def _all_tensors(stepper: Stepper) -> dict[str, Tensor]:
    groups: dict[str, Mapping[str, Tensor]] = {
        "generator": stepper.stage.generator.state_dict(),
        "average": stepper.average.state_dict(),
        "discriminator": stepper.stage.discriminator.state_dict(),
        "generator_adam": optimiser_tensors(stepper.generator_adam),
        "discriminator_adam": optimiser_tensors(stepper.discriminator_adam),
    }
    return {f"{group}/{name}": tensor for group, tensors in groups.items() for name, tensor in tensors.items()}


def _under(tensors: Mapping[str, Tensor], group: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{group}/"): t for name, t in tensors.items() if name.startswith(f"{group}/")}


def _identity(recipe: Recipe) -> dict[str, object]:
    """What must agree for a checkpoint to belong to a recipe; rates, lengths and losses may be changed on the way."""
    return {"stage": recipe.stage, "network": recipe.network.config.to_dict()}


def _crossed(before: int, now: int, every: int) -> bool:
    return every > 0 and before // every != now // every
