"""Steps whose launches are recorded: nothing in a turn may look at a value, and a replay does what the step did."""

from __future__ import annotations

import dataclasses
import traceback
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from training_runs import PRIOR_RUNS, SIZE, OneProcess, prior_recipe, recipe

from gpen_core.data import Batch
from gpen_core.losses import PerceptualLoss, TextureLoss
from gpen_core.trainer.recipe import Recipe
from gpen_core.trainer.stages import build_stage
from gpen_core.trainer.step import Stepper

# What reads a tensor's value on the host, or sends it one: neither can be recorded.
_HOST = ("_local_scalar_dense", "lift_fresh", "nonzero", "masked_select", "aten.equal", "_unique")


class Eyes(nn.Module):
    """A backbone of two small layers."""

    def __init__(self) -> None:
        super().__init__()
        source = torch.Generator().manual_seed(2)
        for name, shape in (("first", (4, 3, 3, 3)), ("second", (6, 4, 3, 3))):
            self.register_buffer(name, torch.randn(shape, generator=source) / 5)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        first = nn.functional.relu(nn.functional.conv2d(pictures, self.get_buffer("first"), padding=1))
        return [first, nn.functional.conv2d(first, self.get_buffer("second"), padding=1, stride=2)]


class HostWatch(TorchDispatchMode):
    """Where the trainer's code looks at values, optimisers apart: their steps are not recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(name in str(function) for name in _HOST):
            places = [f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno}" for f in traceback.extract_stack()]
            if not any(place.startswith(("optimise.py", "adam.py")) for place in places):
                self.seen.append(f"{function}: {' '.join(p for p in places[-12:])}")
        return function(*args, **(kwargs or {}))


def stepper(made: Recipe, device: str = "cpu") -> Stepper:
    place = torch.device(device)
    look = Eyes().to(place)
    losses = {"perceptual": (0.5, PerceptualLoss(look)), "texture": (0.5, TextureLoss(look, power=2.0))}
    stage = build_stage(made, place, losses)
    return Stepper(stage, made, OneProcess(), place)


def batch(number: int, device: str = "cpu") -> Batch:
    source = torch.Generator().manual_seed(number)
    damaged, clean = (torch.rand(2, 3, SIZE, SIZE, generator=source).to(device) * 2 - 1 for _ in range(2))
    return Batch(damaged, clean, 2 * number)


@pytest.mark.parametrize("prior", list(PRIOR_RUNS))
def test_the_turns_of_a_step_look_at_no_value(prior: str):
    made = prior_recipe(prior, "finetune", run={"precision": "fp32"})
    made = dataclasses.replace(made, losses=dataclasses.replace(made.losses, r1=0.0, path_length=0.0))
    trained = stepper(made)
    trained.take([batch(0)])
    with trained.stage.settled(), HostWatch() as watch:
        trained.take([batch(1)])
    assert watch.seen == []


def test_only_steps_that_repeat_are_recorded():
    assert stepper(recipe()).stage.repeats
    assert not build_stage(recipe("prior"), torch.device("cpu")).repeats
    larger = recipe(network={"size": SIZE, "out_size": 2 * SIZE, "narrow": 0.02, "style_dim": 12, "n_mlp": 2})
    assert not build_stage(larger, torch.device("cpu")).repeats


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("adversarial", [0.0, 0.02])
def test_recorded_steps_do_what_steps_do(adversarial: float):
    runs = []
    for graphs in (False, True):
        losses = {"adversarial": adversarial, "adversarial_from": 12, "path_length": 2.0 if adversarial else 0.0}
        trained = stepper(recipe(run={"cuda_graphs": graphs, "precision": "fp32"}, losses=losses), "cuda")
        logs = [trained.take([batch(n, "cuda")]) for n in range(16)]
        runs.append([{name: float(value) for name, value in log.items()} for log in logs])
    for taken, recorded in zip(*runs, strict=True):
        assert taken == pytest.approx(recorded, rel=2e-2, abs=1e-4)
