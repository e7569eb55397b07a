"""Tiny runs for the trainer's tests: faces, recipes, and a loop without a command around it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from free_port import free_port
from PIL import Image
from torch import Tensor

from gpen_core.data import Degradation, FaceFolder, Feed
from gpen_core.trainer.loop import Loop
from gpen_core.trainer.recipe import Recipe
from gpen_core.trainer.run import begin
from gpen_core.trainer.sources import Sources, load_sources
from gpen_core.trainer.stages import build_stage
from gpen_core.trainer.step import Stepper
from gpen_core.trainer.validation import Validation

SIZE = 16
ROOT = Path(__file__).parent.parent


class OneProcess:
    num_processes = 1

    def reduce(self, tensor: Tensor, reduction: str = "mean") -> Tensor:
        return tensor


def make_faces(folder: Path, count: int = 6, size: int = SIZE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    source = torch.Generator().manual_seed(1)
    for number in range(count):
        coarse = torch.rand(1, 3, 4, 4, generator=source)
        picture = torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear")[0]
        Image.fromarray((picture * 255).byte().permute(1, 2, 0).numpy()).save(folder / f"face_{number}.png")
    return folder


def recipe(stage: str = "finetune", **tables: Any) -> Recipe:
    values: dict[str, Any] = {
        "stage": stage,
        "seed": 3,
        "network": {"size": SIZE, "narrow": 0.02, "style_dim": 12, "n_mlp": 2},
        "data": {"batch": 2, "workers": 0, "degradation": "gpen-released"},
        "losses": {"r1_every": 3, "path_every": 2},
        "run": {"validation_pictures": 0, "checkpoint_minutes": 0, "log_every": 1, "max_images": 10_000},
    }
    for name, changes in tables.items():
        values[name] = {**values.get(name, {}), **changes} if isinstance(changes, dict) else changes
    return Recipe.from_dict(values)


# What stage 1 of each prior minimises, as its shipped recipe has it; beside it the network's keys.
PRIOR_RUNS: dict[str, dict[str, Any]] = {
    "stylegan2": {},
    "stylegan": {"losses": {"path_length": 0, "r1_every": 1}, "growth": {"from_size": 8}},
    "pggan": {
        "network": {"n_mlp": 8},
        "losses": {
            "form": "wasserstein", "gradient_penalty": 10.0, "drift": 1e-3, "r1": 0, "path_length": 0, "mixing": 0
        },
        "growth": {"from_size": 4},
    },
    "biggan": {
        "network": {"n_mlp": 8, "options": {"attention": [8], "shared_dim": 4}},
        "losses": {"form": "hinge", "path_length": 0, "mixing": 0},
    },
}  # fmt: skip


def prior_recipe(prior: str, stage: str, **tables: Any) -> Recipe:
    """A tiny run of this prior: alone with its own loss and growth, or embedded with the paper's."""
    values = {name: dict(keys) for name, keys in PRIOR_RUNS[prior].items()}
    values["network"] = {**values.get("network", {}), "prior": prior}
    if "growth" in values:
        values["growth"] |= {"stable_images": 8, "fade_images": 12}
    if stage == "finetune":
        values.pop("growth", None)
        values["losses"] = {"path_length": 2.0 if "stylegan" in prior else 0, "mixing": 0}
    return recipe(stage, **values, **tables)


def loop(
    made: Recipe,
    faces: Path,
    out: Path,
    *,
    processes: Any = None,
    rank: int = 0,
    sources: Sources | None = None,
    validation: Validation | None = None,
    allow_changed: bool = False,
    **parts: Any,
) -> Loop:
    device = torch.device("cpu")
    stage = build_stage(made, device, **parts)
    facts = load_sources(stage, sources or Sources())
    stepper = Stepper(stage, made, processes or OneProcess(), device)
    ranges = made.data.degradation if stage.paired else "none"
    feed = Feed(FaceFolder(faces, made.network.size), Degradation(ranges), seed=made.seed)
    made_loop = Loop(stepper, feed, out, rank=rank, validation=validation)
    out.mkdir(parents=True, exist_ok=True)
    if not made_loop.resume(allow_changed=allow_changed):
        begin(stepper, facts)
    return made_loop


def weights(of: Loop) -> dict[str, Tensor]:
    stepper = of.stepper
    networks = {
        "generator": stepper.stage.generator,
        "average": stepper.average,
        "discriminator": stepper.stage.discriminator,
    }
    return {f"{n}/{k}": t.clone() for n, network in networks.items() for k, t in network.state_dict().items()}


def silent(images: int, losses: object) -> None:
    pass


def script_environment() -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


# The end of each: one that leaves the group while the other is still at work can end with an abort, and so, now and
# then, can torch's threads at the end of the interpreter, after all that is tested here.
LEAVE = """
import os, sys
from torch import distributed
distributed.barrier()
distributed.destroy_process_group()
sys.stdout.flush()
os._exit(0)
"""


def in_processes(count: int, code: str, *arguments: str) -> None:
    """Runs `code` in so many processes that know of each other."""
    children = started(count, code, *arguments)
    assert [child.wait(timeout=300) for child in children] == [0] * count


def started(count: int, code: str, *arguments: str) -> list[subprocess.Popen[bytes]]:
    """So many processes that know of each other and run `code`; one of them alone knows of none."""
    shared = script_environment()
    group = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1"}
    group["MASTER_PORT"] = str(free_port())
    return [
        subprocess.Popen(
            [sys.executable, "-c", code + (LEAVE if count > 1 else ""), *arguments],
            env={**shared, **({**group, "RANK": str(rank), "LOCAL_RANK": str(rank)} if count > 1 else {})},
        )
        for rank in range(count)
    ]
