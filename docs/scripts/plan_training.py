"""Hours that training takes: operations of a step, counted, over what a device does in a second.

python docs/scripts/plan_training.py [--sizes 256 512 1024] [--images 1000000] [--share 0.3] [--measured TFLOPS]

Operations are counted without being done (torch's "meta" device), for the shipped losses with R1 and path length at
their intervals: convolutions and matrix products, a multiplication and an addition each. --share: of a device's peak
that training reaches; --measured: instead, TFLOP/s reached on the device at hand (images a second of
docs/scripts/bench_training.py times the operations here). Each row is one device; N of them take an Nth.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from gpen_core.data import Batch
from gpen_core.losses import path_length_penalty, r1_penalty
from gpen_core.trainer.recipe import Recipe
from gpen_core.trainer.stages import Stage, build_stage

#: Dense peaks by the makers' data sheets, TFLOP/s: in bfloat16, and in TF32 where there is no bfloat16 to gain by.
PEAKS = {"H100 SXM": 989.0, "A100": 312.0, "L40S": 362.0, "L4": 121.0, "V100 (fp16)": 125.0}


class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts operations; torch's own counter follows modules, which a gradient's gradient does not go through."""

    flops = 0

    def __torch_dispatch__(self, function: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        result = function(*given, **(named or {}))
        count = flop_registry.get(function.overloadpacket)
        if count is not None:
            self.flops += count(*given, **(named or {}), out_val=result)
        return result


def counted(work: Callable[[], object]) -> float:
    """TFLOP of it."""
    counter = Counter()  # type: ignore[no-untyped-call]
    with counter:
        work()
    return counter.flops / 1e12


def of_an_image(size: int) -> dict[str, float]:
    """TFLOP of one image of the paper's network, by turn; the lazy turns divided by their intervals."""
    network = {"size": size, "channel_multiplier": 2.0, "narrow": 1.0}
    recipe = Recipe.from_dict({"stage": "finetune", "network": network, "losses": {"mixing": 0}})
    losses = recipe.losses
    with torch.device("meta"):
        stage = build_stage(recipe, torch.device("meta"))
    for part in (stage.generator, stage.discriminator):
        part.to("meta")
    damaged, clean = (torch.empty(2, 3, size, size, device="meta") for _ in range(2))
    batch = Batch(damaged, clean, 0)
    # Where the networks switch autocast off, it would ask a device that it does not know.
    with patch("torch.autocast", lambda *given, **named: nullcontext()):
        found = {
            "discriminator": counted(lambda: _discriminator(stage, batch)),
            "R1": counted(lambda: _r1(stage, batch)) / losses.r1_every,
            "generator": counted(lambda: _generator(stage, batch)),
            "path length": counted(lambda: _path(stage, batch)) / losses.path_every / losses.path_shrink,
        }
    return {name: flops / len(batch.clean) for name, flops in found.items()}


def _discriminator(stage: Stage, batch: Batch) -> None:
    judge = stage.discriminator
    torch.autograd.backward(stage.game.discriminator(judge(batch.clean), judge(batch.damaged)))


def _r1(stage: Stage, batch: Batch) -> None:
    real = batch.clean.clone().requires_grad_(True)
    torch.autograd.backward(r1_penalty(stage.discriminator(real), real))


def _generator(stage: Stage, batch: Batch) -> None:
    stage.discriminator.requires_grad_(False)
    fake = stage.pictures(batch, None)  # type: ignore[arg-type]
    terms = stage.loss(fake, batch, adversarial=True, matching=stage.paired, augment=None)
    torch.autograd.backward(torch.stack(list(terms.values())).sum())
    stage.discriminator.requires_grad_(True)


def _path(stage: Stage, batch: Batch) -> None:
    pictures, latents = stage.traced(batch, None)  # type: ignore[arg-type]
    noise, mean = torch.empty_like(pictures), torch.zeros((), device="meta")
    penalty: Tensor = path_length_penalty(pictures, latents, mean, noise, 0.01)[0]
    torch.autograd.backward(penalty)


def main() -> None:
    """Prints a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024])
    parser.add_argument("--images", type=float, default=1e6)
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--measured", type=float)
    options = parser.parse_args()
    write = sys.stdout.write
    rates = {name: peak * options.share for name, peak in PEAKS.items()}
    if options.measured is not None:
        rates = {"this device": options.measured}
    for size in options.sizes:
        turns = of_an_image(size)
        total = sum(turns.values())
        parts = ", ".join(f"{name} {flops:.2f}" for name, flops in turns.items())
        write(f"{size} px: {total:.2f} TFLOP an image ({parts})\n")
        for name, rate in rates.items():
            write(f"  {name:12s} {rate / total:7.1f} images/s, {options.images * total / rate / 3600:8.0f} hours\n")


if __name__ == "__main__":
    main()
