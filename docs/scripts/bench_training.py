"""Images a second of a training step, beside the reference's, in one process.

python docs/scripts/bench_training.py --reference PATH_TO_GPEN [--device cpu] [--batch 4] [--narrow 0.25] [--steps 16]

Both train the same configuration in turn on the same pictures: adversarial and smooth L1 losses, no identity loss,
R1 every 16 and path length every 4 steps. The reference's step is made of its own functions in the order of its own
loop; without --reference only ours is measured. Both clocks are shown: wall time, and CPU time, which other programs
disturb less.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from gpen_core.data import Batch
from gpen_core.trainer.recipe import Recipe
from gpen_core.trainer.stages import build_stage
from gpen_core.trainer.step import Stepper

R1_EVERY, PATH_EVERY = 16, 4


class OneProcess:
    """No other processes."""

    num_processes = 1

    def reduce(self, tensor: Tensor, reduction: str = "mean") -> Tensor:
        """The tensor itself."""
        return tensor


def our_step(arguments: argparse.Namespace, precision: str, path_shrink: int) -> Callable[[int, Tensor, Tensor], None]:
    """A function of (step, damaged, clean) that trains."""
    recipe = Recipe.from_dict(
        {
            "stage": "finetune",
            "network": {"size": arguments.size, "channel_multiplier": 1.0, "narrow": arguments.narrow},
            "data": {"batch": arguments.batch},
            "losses": {
                "content_norm": "smooth_l1",
                "feature_matching": 0.0,
                "r1_every": R1_EVERY,
                "path_every": PATH_EVERY,
                "path_shrink": path_shrink,
            },
            "run": {"precision": precision},
        }
    )
    device = torch.device(arguments.device)
    stepper = Stepper(build_stage(recipe, device), recipe, OneProcess(), device)

    def step(number: int, damaged: Tensor, clean: Tensor) -> None:
        stepper.progress.steps = number
        stepper.take([Batch(damaged, clean, number * len(clean))])

    return step


def reference_step(arguments: argparse.Namespace) -> Callable[[int, Tensor, Tensor], None]:
    """The reference's step, from its `train_simple.py`, less the identity loss."""
    sys.path[:0] = [str(arguments.reference), str(arguments.reference / "face_model")]
    # Its data loader, which its trainer imports, asks for a module by the name it had before torchvision 0.17.
    moved = "torchvision.transforms.functional_tensor"
    sys.modules.setdefault(moved, importlib.import_module("torchvision.transforms.functional"))
    model: Any = importlib.import_module("face_model.gpen_model")
    trainer: Any = importlib.import_module("train_simple")
    device = arguments.device
    shapes = {"channel_multiplier": 1, "narrow": arguments.narrow, "device": device}
    generator, average = (model.FullGenerator(arguments.size, 512, 8, **shapes).to(device) for _ in range(2))
    discriminator = model.Discriminator(arguments.size, **shapes).to(device)
    shares = PATH_EVERY / (PATH_EVERY + 1), R1_EVERY / (R1_EVERY + 1)
    optimisers = [
        torch.optim.Adam(network.parameters(), lr=0.002 * share, betas=(0.0, 0.99**share))
        for network, share in zip((generator, discriminator), shares, strict=True)
    ]
    state = {"mean": 0}

    def update(network: torch.nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        network.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()

    def step(number: int, damaged: Tensor, clean: Tensor) -> None:
        trainer.requires_grad(generator, False)
        trainer.requires_grad(discriminator, True)
        fake, _ = generator(damaged)
        fake_score, real_score = discriminator(fake), discriminator(clean)
        update(discriminator, optimisers[1], trainer.d_logistic_loss(real_score, fake_score))
        if number % R1_EVERY == 0:
            real = clean.detach().requires_grad_(True)
            score = discriminator(real)
            penalty = trainer.d_r1_loss(score, real)
            update(discriminator, optimisers[1], 10 / 2 * penalty * R1_EVERY + 0 * score[0])
        trainer.requires_grad(generator, True)
        trainer.requires_grad(discriminator, False)
        fake, _ = generator(damaged)
        update(generator, optimisers[0], F.softplus(-discriminator(fake)).mean() + F.smooth_l1_loss(fake, clean))
        if number % PATH_EVERY == 0:
            fake, latents = generator(damaged, return_latents=True)
            penalty, state["mean"], _ = trainer.g_path_regularize(fake, latents, state["mean"])
            update(generator, optimisers[0], 2 * PATH_EVERY * penalty + 0 * fake[0, 0, 0, 0])
        trainer.accumulate(average, generator, 0.5 ** (32 / (10 * 1000)))

    return step


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--narrow", type=float, default=0.25)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--path-shrink", type=int, nargs="+", default=[1, 2])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    steps = {
        f"ours, {precision}, path batch 1/{shrink}": our_step(arguments, precision, shrink)
        for precision in ("fp32", "bf16")
        for shrink in arguments.path_shrink
    }
    if arguments.reference is not None:
        steps = {"reference": reference_step(arguments), **steps}
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    clean = torch.rand(arguments.batch, 3, arguments.size, arguments.size, device=arguments.device) * 2 - 1
    damaged = F.avg_pool2d(clean, 5, stride=1, padding=2)
    for step in steps.values():
        step(1, damaged, clean)
    for number in range(arguments.steps):
        for name, step in steps.items():
            spent[name].append(timed(step, number, damaged, clean, arguments.device))
    first = next(iter(spent))
    means = {name: [sum(column) / len(column) for column in zip(*times, strict=True)] for name, times in spent.items()}
    print(f"{arguments.size} px, narrow {arguments.narrow}, batch {arguments.batch}, mean of {arguments.steps} steps")
    for name, (wall, _) in means.items():
        rate, against = arguments.batch / wall, [means[first][i] / means[name][i] for i in (0, 1)]
        print(f"{name:34s} {rate:7.2f} images/s   {against[0]:5.2f}× wall   {against[1]:5.2f}× CPU time of {first}")


def timed(
    step: Callable[[int, Tensor, Tensor], None], number: int, damaged: Tensor, clean: Tensor, device: str
) -> tuple[float, float]:
    """(wall, CPU) seconds of one step."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    step(number, damaged, clean)
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
