"""The loop: one for all stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..data import Batch, Feed, plan, shares
from ..errors import ConfigError
from .checkpoint import (
    STATE,
    copy_checkpoint,
    list_checkpoints,
    prune_checkpoints,
    read_checkpoint,
    read_on_main,
    write_checkpoint,
)
from .history import go_on
from .log import Log
from .optimise import load_optimiser, optimiser_tensors
from .progress import Progress
from .recipe import Recipe
from .sharding import load_whole, whole
from .step import Stepper
from .validation import Validation, save_picture

CHECKPOINTS, BEST, GRID = "checkpoints", "best", "grid.png"
Report = Callable[[int, Mapping[str, float]], None]

_SMALLER_IS_BETTER = ("perceptual", "lpips")
# Shares of `grid_every` after which a new run shows a grid too.
_EARLY = (64, 16, 4)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """When a call to `Loop.run` ends; None: no limit of this kind. stopping: asked before every step.

    Raises ConfigError for a limit at which nothing is learned.
    """

    minutes: float | None = None
    images: int | None = None
    stopping: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        if self.minutes is not None and not self.minutes > 0:
            raise ConfigError(f"minutes is {self.minutes:g}; expected more than 0")
        if self.images is not None and self.images < 1:
            raise ConfigError(f"images is {self.images}; expected at least 1")


class Loop:
    """Takes steps until a limit, writes checkpoints, logs, validates.

    out: the run's folder. rank: of this process; only the first writes. validation: None for neither figures nor grids.
    """

    def __init__(
        self, stepper: Stepper, feed: Feed, out: Path, *, rank: int = 0, validation: Validation | None = None
    ) -> None:
        self.stepper, self.feed, self.out = stepper, feed, out
        self._rank, self.validation = rank, validation
        self.recipe: Recipe = stepper.recipe
        self._checkpoints = out / CHECKPOINTS
        self._saved = -1

    @property
    def progress(self) -> Progress:
        """How far the run has come."""
        return self.stepper.progress

    def resume(self, *, allow_changed: bool = False, sources: Mapping[str, str] | None = None) -> bool:
        """Goes on from the last checkpoint; False where there is none. sources: hashes of the files that a new run
        would start from.

        Raises TrainingError for one of another run, and, unless `allow_changed`, for one that was trained otherwise.
        """
        found = self._last_checkpoint()
        if found is None:
            return False
        where, tensors, state = found
        stepper, progress = self.stepper, Progress.from_dict(state["progress"])
        go_on(
            where,
            Recipe.from_dict(state["recipe"]),
            self.recipe,
            progress,
            faces=self.feed.fingerprint,
            sources=sources or {},
            ranks=stepper.processes.num_processes,
            allow_changed=allow_changed,
        )
        if progress.best_by != self.recipe.run.best or not (self._rank or (self.out / BEST / STATE).is_file()):
            progress.best = None
        stepper.progress, self._saved = progress, progress.images
        for name, network in (
            ("generator", stepper.stage.generator),
            ("average", stepper.average),
            ("discriminator", stepper.stage.discriminator),
        ):
            load_whole(network, _under(tensors, name))
        load_optimiser(stepper.generator_adam, _under(tensors, "generator_adam"))
        load_optimiser(stepper.discriminator_adam, _under(tensors, "discriminator_adam"))
        return True

    def run(self, limits: Limits, report: Report) -> None:
        """Steps until a limit or the recipe's max_images; a checkpoint at the end. report: called after every step."""
        recipe, processes = self.recipe, self.stepper.processes
        if self._rank == 0:
            prune_checkpoints(self._checkpoints, recipe.run.keep)
        if not self.progress.step_images:
            self.progress.step_images = recipe.data.batch * recipe.data.accumulate * processes.num_processes
        self.progress.faces = self.feed.fingerprint
        log = Log(self.out, self.progress.steps) if self._rank == 0 else None
        positions = plan(
            self.progress.images,
            size=recipe.data.batch,
            step=self.progress.step_images,
            rank=self._rank,
            ranks=processes.num_processes,
        )
        turns = len(shares(self.progress.step_images, recipe.data.batch, processes.num_processes)[0])
        batches = self.feed.batches(positions, workers=recipe.data.workers, pin=self.stepper.device.type == "cuda")
        began = saved = time.monotonic()
        spent = self.progress.seconds
        last = recipe.run.max_images if limits.images is None else min(recipe.run.max_images, limits.images)
        try:
            if log is not None and self.progress.images == self.progress.started_at:
                self._show(log)
            (over,) = self._agreed(self._over(began, limits))
            while self.progress.images < last and not over:
                micro = [self.feed.finish(next(batches), self.stepper.device, self.stepper.dtype) for _ in range(turns)]
                before = self.progress.images
                losses = self.stepper.take(micro)
                self.progress.seconds = spent + time.monotonic() - began
                best = self._observe(log, losses, before, micro, report)
                best, due, over = self._agreed(best, self._due(saved), self._over(began, limits))
                if best or due:
                    self.save(best=best)
                    saved = time.monotonic()
            # A run that was killed while it finished takes no step: what it wrote stays as it is.
            if self.progress.images != self._saved:
                self.save()
        finally:
            if log is not None:
                log.close()

    def _last_checkpoint(self) -> tuple[str, dict[str, Tensor], dict[str, Any]] | None:
        if self.stepper.processes.num_processes > 1:
            return read_on_main(self._checkpoints, self._rank, self.stepper.device)
        found = list_checkpoints(self._checkpoints)
        return (str(found[-1]), *read_checkpoint(found[-1])) if found else None

    def save(self, *, best: bool = False) -> None:
        """Writes a checkpoint and drops the oldest. best: as the best one too, before its score is in a checkpoint.

        All processes call it together: where they have divided the networks, each has a part of it.
        """
        run = self.recipe.run
        if self._rank != 0 and not run.shard:
            return
        tensors = _all_tensors(self.stepper)
        self._saved = self.progress.images
        if self._rank != 0:
            return
        folder = self._checkpoints / f"{self.progress.images:012d}"
        state = {"recipe": self.recipe.to_dict(), "progress": self.progress.to_dict()}
        first = self.out / BEST if best else folder
        write_checkpoint(first, tensors, state, part_bytes=int(run.part_megabytes * 1_000_000))
        if best:
            copy_checkpoint(first, folder)
        prune_checkpoints(self._checkpoints, run.keep)

    def _observe(
        self, log: Log | None, losses: Mapping[str, Tensor], before: int, micro: Sequence[Batch], report: Report
    ) -> bool:
        """Logs, reports, shows and validates what is due; whether this is the best so far."""
        if log is None:
            return False
        run, progress = self.recipe.run, self.progress
        values = {}
        if progress.steps % run.log_every == 0 or progress.steps == 1:
            values = {name: float(value) for name, value in losses.items()}
            values |= {
                "images_per_second": (progress.images - progress.started_at) / max(progress.seconds, 1e-9),
                "skipped": float(progress.skipped),
                "augment": progress.augment,
            }
            log.scalars(progress.steps, progress.images, values)
        report(progress.images, values)
        since = before - progress.started_at, progress.images - progress.started_at
        early = (run.grid_every // share for share in _EARLY)
        if _crossed(before, progress.images, run.grid_every) or any(since[0] < at <= since[1] for at in early):
            self._show(log)
        if (
            _crossed(before, progress.images, run.validate_every)
            and self.validation is not None
            and self.stepper.stage.paired
        ):
            figures = self.validation.figures(self.stepper)
            log.scalars(progress.steps, progress.images, figures, group="validation")
            return self._is_best(figures)
        return False

    def _is_best(self, figures: Mapping[str, float]) -> bool:
        name = self.recipe.run.best
        if name not in figures:
            return False
        score = -figures[name] if name in _SMALLER_IS_BETTER else figures[name]
        if self.progress.best is not None and score <= self.progress.best:
            return False
        self.progress.best, self.progress.best_by = score, name
        return True

    def _show(self, log: Log) -> None:
        """A grid, also as a file: whoever waits for hours sees early whether it goes the right way."""
        if self.validation is not None and self.recipe.run.grid_every:
            grid = self.validation.grid(self.stepper)
            log.picture(self.progress.steps, "samples", grid)
            save_picture(grid, self.out / GRID)

    def _over(self, began: float, limits: Limits) -> bool:
        return limits.stopping() or (limits.minutes is not None and time.monotonic() - began >= limits.minutes * 60)

    def _due(self, saved: float) -> bool:
        minutes = self.recipe.run.checkpoint_minutes
        return minutes > 0 and time.monotonic() - saved > minutes * 60

    def _agreed(self, *wishes: bool) -> list[bool]:
        """What one of the processes wishes: clocks differ, and one alone looks at figures, but they act together."""
        processes = self.stepper.processes
        if processes.num_processes == 1:
            return list(wishes)
        said = torch.tensor([float(wish) for wish in wishes], device=self.stepper.device)
        agreed: list[bool] = (processes.reduce(said, "sum") > 0).tolist()
        return agreed


def _all_tensors(stepper: Stepper) -> dict[str, Tensor]:
    groups: dict[str, Mapping[str, Tensor]] = {
        "generator": stepper.stage.generator.state_dict(),
        "average": stepper.average.state_dict(),
        "discriminator": stepper.stage.discriminator.state_dict(),
        "generator_adam": optimiser_tensors(stepper.generator_adam),
        "discriminator_adam": optimiser_tensors(stepper.discriminator_adam),
    }
    return {f"{group}/{name}": whole(tensor) for group, tensors in groups.items() for name, tensor in tensors.items()}


def _under(tensors: Mapping[str, Tensor], group: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{group}/"): t for name, t in tensors.items() if name.startswith(f"{group}/")}


def _crossed(before: int, now: int, every: int) -> bool:
    return every > 0 and before // every != now // every
