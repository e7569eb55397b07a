"""One step of training: the discriminator, its R1, the generator, its path length, the average."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn

from ..architecture.precision import bfloat16_pays
from ..data import Batch
from ..errors import TrainingError
from ..losses import between, gradient_penalty, mean_score, mean_square, path_length_penalty, r1_penalty
from .augment import AdaptiveAugmentation
from .gradients import Gradients
from .graphs import Log, Recorder, Turn
from .optimise import (
    Processes,
    adam,
    average_weights,
    finite_step,
    gradient_at,
    require_gradients,
)
from .progress import Progress
from .recipe import Precision, Recipe
from .schedule import average_decay, set_step_rates
from .sharding import ShardedGradients
from .stages import Stage

_FAKES, _PATH, _AUGMENT_D, _AUGMENT_G, _AUGMENT_R1, _SLOPE = range(6)
DTYPES = {"fp32": torch.float32, "bf16": torch.float32, "fp64": torch.float64}


def chosen_precision(precision: Precision, device: torch.device) -> Precision:
    """What `auto` means on `device`, by the test that inference goes by; others are themselves."""
    if precision != "auto":
        return precision
    return "bf16" if bfloat16_pays(device) else "fp32"


class Stepper:
    """Holds the networks, their average and the optimisers, and takes steps.

    Every random number of a step comes from (seed, position of the batch, purpose); so a resumed run, or two processes
    for one that accumulates, draw the same.
    """

    def __init__(self, stage: Stage, recipe: Recipe, processes: Processes, device: torch.device) -> None:
        self.stage, self.recipe, self.processes, self.device = stage, recipe, processes, device
        self.precision = chosen_precision(recipe.run.precision, device)
        self.dtype = DTYPES[self.precision]
        for network in (stage.generator, stage.discriminator):
            network.to(device=device, dtype=self.dtype)
        self.average = copy.deepcopy(stage.generator).eval().requires_grad_(False)
        shards = self._divide() if recipe.run.shard and processes.num_processes > 1 else {}
        losses, rates = recipe.losses, recipe.rates
        self.generator_adam = adam(
            stage.groups(),
            beta1=rates.beta1,
            beta2=rates.beta2,
            lazy_every=losses.path_interval,
        )
        self.discriminator_adam = adam(
            {"discriminator": list(stage.discriminator.parameters())},
            beta2=rates.beta2,
            lazy_every=losses.r1_interval,
        )
        self._gradients = {
            optimiser: shards.get(network)
            or Gradients([p for group in optimiser.param_groups for p in group["params"]], processes)
            for optimiser, network in (
                (self.generator_adam, stage.generator),
                (self.discriminator_adam, stage.discriminator),
            )
        }
        self.progress = Progress(stage=recipe.stage, augment=recipe.augmentation.start)
        augment = recipe.augmentation
        self._augmentation = AdaptiveAugmentation(augment) if augment.target or augment.start else None
        self._recorder = Recorder(device) if self._repeats() else None
        self._kept: list[Tensor] = []

    def _repeats(self) -> bool:
        """Whether every step launches the same, on a device that can be told so: nothing in its turns is random."""
        recipe, stage = self.recipe, self.stage
        return (
            recipe.run.cuda_graphs
            and self.device.type == "cuda"
            and self.processes.num_processes == 1
            and recipe.data.accumulate == 1
            and stage.repeats
            and self._augmentation is None
            and not recipe.losses.gradient_penalty
        )

    def _divide(self) -> dict[nn.Module, ShardedGradients]:
        """Network → its gradients, for those that are trained; the average stays whole, for who looks at it alone."""
        networks = (self.stage.generator, self.stage.discriminator)
        return {network: ShardedGradients(network, self.processes, self.device) for network in networks}

    def take(self, batches: Sequence[Batch]) -> dict[str, Tensor]:
        """One step on `batches` (accumulated); the losses, as detached scalars, over all processes."""
        progress, losses = self.progress, self.recipe.losses
        for gradients in self._gradients.values():
            gradients.gather()
        set_step_rates(self.recipe, progress, self.generator_adam, self.discriminator_adam)
        self.stage.begin_step(progress.images)
        batches = [
            b._replace(damaged=_channels_last(b.damaged), clean=_channels_last(self.stage.targets(b.clean)))
            for b in batches
        ]
        adversarial = losses.adversarial > 0 and progress.images >= losses.adversarial_from
        matching = progress.images >= progress.fresh_until
        log: Log = {}
        self._kept = []
        if self._recorder is not None:
            self._recorder.step((adversarial, matching), batches[0])
        if adversarial:
            self._discriminator_turn(batches, log)
            if losses.r1_interval and progress.steps % losses.r1_interval == 0:
                with self._unrecorded():
                    self._r1_turn(batches, log)
        self._generator_turn(batches, adversarial, matching, log)
        if adversarial and losses.path_interval and progress.steps % losses.path_interval == 0:
            with self._unrecorded():
                self._path_turn(batches, log)
        seen = self._step_images(batches)
        progress.images += seen
        progress.steps += 1
        average_weights(self.average, self.stage.generator, average_decay(self.recipe, progress, seen))
        for gradients in self._gradients.values():
            gradients.release()
        if adversarial and self._augmentation is not None:
            self._augmentation.adjust(progress, seen)
        names = list(log)
        means = self._mean(torch.stack([torch.stack(log[name]).mean().to(self.dtype) for name in names]))
        return dict(zip(names, means.unbind(), strict=True))

    def source(self, position: int, purpose: int) -> Generator:
        """The random numbers of one purpose for the batch at `position`."""
        number = (
            (self.recipe.seed * 0x9E3779B97F4A7C15) ^ (position * 0xBF58476D1CE4E5B9) ^ (purpose * 0x94D049BB133111EB)
        ) % 2**63
        return Generator(self.device).manual_seed(number)

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """bfloat16 where the recipe asks for it, or leaves it to the device."""
        # A recorded step keeps no copies of weights from one turn to the next.
        bf16, again = self.precision == "bf16", self._recorder is None
        return torch.autocast(self.device.type, torch.bfloat16, enabled=bf16, cache_enabled=again)

    def _discriminator_turn(self, batches: Sequence[Batch], log: Log) -> None:
        require_gradients(self.stage.discriminator.parameters(), True)
        for turn, batch in enumerate(batches):
            source = self.source(batch.position, _FAKES)
            self._take(self.discriminator_adam, partial(self._judge, batches, turn, source), batch, log)
        self._step(self.discriminator_adam)

    def _judge(self, batches: Sequence[Batch], turn: int, source: Generator, batch: Batch, log: Log) -> None:
        """The discriminator's gradient on `batch`, number `turn`. The pictures it was shown are kept, with their graph,
        when the generator can use them at once.
        """
        stage, discriminator, losses = self.stage, self.stage.discriminator, self.recipe.losses
        keep = len(batches) == 1
        with self.autocast():
            # The generator does not change before its own turn, so one forward pass serves both.
            with contextlib.nullcontext() if keep else torch.no_grad():
                fake = stage.pictures(batch, source)
            augment = self._augment(batch, _AUGMENT_D)
            real_score = discriminator(stage.shown(augment(batch.clean), batch))
            fake_score = discriminator(stage.shown(augment(fake.detach()), batch))
        loss = stage.game.discriminator(real_score, fake_score)
        if losses.drift:
            loss = loss + losses.drift * mean_square(real_score)
        total = loss
        if losses.gradient_penalty:
            penalty = self._slope(batch, fake.detach())
            total = loss + losses.gradient_penalty * penalty
            _note(log, gradient_penalty=penalty)
        self._backward(self.discriminator_adam, batches, turn, total)
        self._kept = [fake] if keep else []
        _note(log, d=loss, real_score=mean_score(real_score), fake_score=mean_score(fake_score))
        if self._augmentation is not None:
            heads = [real_score] if isinstance(real_score, Tensor) else real_score
            signs = torch.cat([head.detach().sign().float().flatten() for head in heads])
            self._augmentation.note(self.progress, self._mean(torch.stack([signs.sum(), signs.new_tensor(len(signs))])))

    def _slope(self, batch: Batch, fake: Tensor) -> Tensor:
        """WGAN-GP's penalty between the batch's pictures and the made ones, outside of a lower precision."""
        share = torch.rand(len(fake), generator=self.source(batch.position, _SLOPE), device=self.device)
        pictures = between(self.stage.shown(batch.clean, batch), self.stage.shown(fake, batch), share.to(self.dtype))
        return gradient_penalty(self.stage.discriminator(pictures), pictures)

    def _r1_turn(self, batches: Sequence[Batch], log: Log) -> None:
        losses, discriminator = self.recipe.losses, self.stage.discriminator
        for turn, batch in enumerate(batches):
            shown = self.stage.shown(self._augment(batch, _AUGMENT_R1)(batch.clean), batch)
            real = shown.detach().requires_grad_(True)
            penalty = r1_penalty(discriminator(real), real)
            self._backward(self.discriminator_adam, batches, turn, losses.r1 / 2 * losses.r1_every * penalty)
            _note(log, r1=penalty)
        self._step(self.discriminator_adam)

    def _generator_turn(self, batches: Sequence[Batch], adversarial: bool, matching: bool, log: Log) -> None:
        require_gradients(self.stage.discriminator.parameters(), False)
        for turn, batch in enumerate(batches):
            source = self.source(batch.position, _FAKES)
            work = partial(self._improve, batches, turn, source, adversarial, matching)
            self._take(self.generator_adam, work, batch, log)
        self._step(self.generator_adam)

    def _improve(
        self,
        batches: Sequence[Batch],
        turn: int,
        source: Generator,
        adversarial: bool,
        matching: bool,
        batch: Batch,
        log: Log,
    ) -> None:
        """The generator's gradient on `batch`, number `turn`."""
        stage = self.stage
        with self.autocast():
            fake = self._kept[0] if self._kept else stage.pictures(batch, source)
            augment = self._augment(batch, _AUGMENT_G) if self._augmentation is not None else None
            # Losses meet the picture alone: their gradient there goes once through the generator.
            picture = fake.detach().requires_grad_(True)
            terms = stage.loss(picture, batch, adversarial=adversarial, matching=matching, augment=augment)
            penalties = stage.penalties(batch)
        gradient, terms = gradient_at(picture, terms, self.recipe.losses.shares)
        self._backward(self.generator_adam, batches, turn, fake, gradient, also=list(penalties.values()))
        terms |= penalties
        _note(log, g=torch.stack(list(terms.values())).sum(), **terms)

    def _take(self, optimiser: torch.optim.Adam, turn: Turn, batch: Batch, log: Log) -> None:
        """`turn(batch, log)`, or what was recorded of it; `optimiser`'s parameters get the gradients."""
        if self._recorder is None:
            turn(batch, log)
        else:
            with self.stage.settled():
                self._recorder.take(optimiser, turn, batch, log)

    def _unrecorded(self) -> contextlib.AbstractContextManager[None]:
        """For turns that come too seldom to be recorded, or differ: beside recorded ones, on their stream."""
        return contextlib.nullcontext() if self._recorder is None else self._recorder.unrecorded()

    def _path_turn(self, batches: Sequence[Batch], log: Log) -> None:
        losses, progress = self.recipe.losses, self.progress
        mean = torch.tensor(progress.path_mean, device=self.device, dtype=self.dtype)
        means = []
        for turn, batch in enumerate(batches):
            count = max(1, len(batch.clean) // losses.path_shrink)
            part = batch._replace(damaged=batch.damaged[:count], clean=batch.clean[:count])
            source = self.source(batch.position, _PATH)
            pictures, latents = self.stage.traced(part, source)
            noise = torch.randn(pictures.shape, generator=source, device=self.device, dtype=pictures.dtype)
            penalty, new_mean, lengths = path_length_penalty(pictures, latents, mean, noise, losses.path_decay)
            self._backward(self.generator_adam, batches, turn, losses.path_length * losses.path_every * penalty)
            means.append(new_mean)
            _note(log, path=penalty, path_length=lengths.mean())
        if self._step(self.generator_adam):
            progress.path_mean = float(self._mean(torch.stack(means).mean()))

    def _backward(
        self,
        optimiser: torch.optim.Adam,
        batches: Sequence[Batch],
        turn: int,
        result: Tensor,
        gradient: Tensor | None = None,
        also: Sequence[Tensor] = (),
    ) -> None:
        """Adds what batch number `turn` has in the gradient of the step: its share of the step's pictures.

        gradient: of the loss at `result`; None: `result` is the loss. also: scalars that are part of it by themselves.
        """
        count, processes = len(batches[turn].clean), self.processes.num_processes
        share = count * processes / self._step_images(batches)
        self._gradients[optimiser].expect(last=turn + 1 == len(batches))
        if gradient is None:
            torch.autograd.backward(result * share)
        else:
            torch.autograd.backward([result, *also], [gradient * share, *(torch.full_like(a, share) for a in also)])

    def _step_images(self, batches: Sequence[Batch]) -> int:
        return self.progress.step_images or sum(len(b.clean) for b in batches) * self.processes.num_processes

    def _step(self, optimiser: torch.optim.Adam) -> bool:
        progress, rates = self.progress, self.recipe.rates
        gradients = self._gradients[optimiser]
        gradients.average()
        finite = finite_step(optimiser, clip=rates.clip)
        gradients.gather()
        if finite:
            progress.skipped_in_row = 0
            return True
        progress.skipped += 1
        progress.skipped_in_row += 1
        if progress.skipped_in_row >= rates.nan_limit:
            raise TrainingError(
                f"the gradients were not finite {rates.nan_limit} times in a row, at image {progress.images}: the "
                "training diverged; "
                f"lower the rates (encoder {rates.encoder:g}, decoder {rates.decoder:g}, discriminator "
                f"{rates.discriminator:g}) "
                "or set rates.clip, and start from the last checkpoint"
            )
        return False

    def _augment(self, batch: Batch, purpose: int) -> Callable[[Tensor], Tensor]:
        augmentation, strength = self._augmentation, self.progress.augment
        if augmentation is None or strength <= 0:
            return _unchanged
        source = self.source(batch.position, purpose)
        return lambda pictures: augmentation(pictures, strength, source)

    def _mean(self, value: Tensor) -> Tensor:
        return value if self.processes.num_processes == 1 else self.processes.reduce(value, "mean")


def _unchanged(pictures: Tensor) -> Tensor:
    return pictures


def _channels_last(pictures: Tensor) -> Tensor:
    return pictures.contiguous(memory_format=torch.channels_last)


def _note(log: Log, **values: Tensor) -> None:
    for name, value in values.items():
        log.setdefault(name, []).append(value.detach())
