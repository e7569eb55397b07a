"""Tiny training runs that are killed at a file operation of theirs, go on, and are compared with one that was not.

python tests/training_kills.py FACES FOLDER POINTS prints a line for every killed run, one in FOLDER each. POINTS:
shares of the operations of a run (0.1 0.5), all "from 1", or "random 40" moments. Runs are forks of one process: torch
loads once.
"""

from __future__ import annotations

import functools
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from kills import in_a_fork, killed_at, operations_under
from tensorboard.backend.event_processing import event_accumulator  # noqa: F401 - imported before any fork
from training_runs import recipe, silent

from gpen_core.errors import TrainingError
from gpen_core.measures.perceptual import DetectorFeatures
from gpen_core.trainer import Limits, Places, Sources, results, run
from gpen_core.trainer.checkpoint import STATE, list_checkpoints, read_checkpoint
from gpen_core.trainer.log import read_log
from gpen_core.weights.tensors import read_tensors

_VARYING = ("images_per_second", "seconds", "hours")


def train_small(faces: Path, out: Path) -> None:
    """Six steps with a checkpoint after each, validations, a best one, grids and finished files."""
    made = recipe(
        augmentation={"target": 0.6, "start": 0.3},
        run={
            "keep": 1,
            "checkpoint_minutes": 1e-9,
            "max_images": 12,
            "validate_every": 4,
            "validation_pictures": 2,
            "grid_every": 8,
            "log_every": 1,
        },
    )
    run.train(made, Places(data=faces, out=out), Sources(), Limits(), silent, device="cpu")


def outcome(out: Path) -> dict[str, Any]:
    """What a finished run has left, without times."""
    (last,) = list_checkpoints(out / "checkpoints")
    found: dict[str, Any] = {"last": last.name, "log": []}
    for name, folder in (("checkpoint", last), ("best", out / "best")):
        tensors, state = read_checkpoint(folder)
        found |= {f"{name}/{key}": tensor for key, tensor in tensors.items()}
        found[f"{name}/state"] = {k: v for k, v in state["progress"].items() if k not in _VARYING}
    for name in ("model", "discriminator"):
        found |= {f"{name}/{key}": t for key, t in read_tensors(out / f"{name}.safetensors").tensors.items()}
    for line in read_log(out):
        found["log"].append({key: value for key, value in line.items() if key not in _VARYING})
    found["files"] = sorted(p.name for p in out.iterdir() if p.name != "tensorboard")
    return found


def differences(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The names of what differs."""

    def same(a: Any, b: Any) -> bool:
        return torch.equal(a, b) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else bool(a == b)

    return [key for key in {**one, **other} if key not in one or key not in other or not same(one[key], other[key])]


def faults_after(faces: Path, out: Path, wanted: dict[str, Any], where: str) -> list[str]:
    """What a run that was killed has lost, or does otherwise once it goes on."""
    found = []
    try:
        for folder in [*list_checkpoints(out / "checkpoints"), out / "best"]:
            if (folder / STATE).is_file():
                read_checkpoint(folder)
        if in_a_fork(lambda: train_small(faces, out)) != 0:
            found.append(f"{where}: the run does not go on")
        elif differing := differences(outcome(out), wanted):
            found.append(f"{where}: {', '.join(differing[:4])} differ")
    except (TrainingError, ValueError) as error:
        found.append(f"{where}: {error}")
    shutil.rmtree(out)
    print("\n".join(found) or f"{where}: the same", flush=True)
    return found


def prepare(faces: Path, folder: Path) -> tuple[dict[str, Any], int]:
    """What an uninterrupted run leaves, and how many operations it takes."""
    torch.set_num_threads(1)
    DetectorFeatures()
    results.draw_curves = lambda log, path: path.write_bytes(b"curves")  # type: ignore[assignment]
    counted = folder / "count"

    def act() -> None:
        last = 0

        def note(count: int) -> None:
            nonlocal last
            last = count

        operations_under(folder / "straight", note)
        train_small(faces, folder / "straight")
        counted.write_text(str(last))

    assert in_a_fork(act) == 0
    return outcome(folder / "straight"), int(counted.read_text())


def main() -> None:
    """Prints how each run came out, and at the end how many were killed."""
    faces, folder, asked = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    folder.mkdir(parents=True, exist_ok=True)
    wanted, count = prepare(faces, folder)
    kills = 0
    faults: list[str] = []
    if asked[0] == "random":
        source = random.Random(0)
        for number in range(int(asked[1])):
            out = folder / f"random-{number}"
            act = functools.partial(train_small, faces, out)
            for _ in range(source.randint(1, 3)):
                kills += in_a_fork(act, kill_after=source.uniform(0.02, 2.0)) != 0
            faults += faults_after(faces, out, wanted, f"random {number}")
    else:
        points = (
            range(int(asked[1]), count + 1) if asked[0] == "from" else [max(1, round(float(p) * count)) for p in asked]
        )
        for point in points:
            out = folder / f"killed-{point}"
            kills += killed_at(out, point, functools.partial(train_small, faces, out)) == -signal.SIGKILL
            faults += faults_after(faces, out, wanted, f"operation {point} of {count}")
    print(f"{kills} kills, {count} operations, {len(faults)} faults")


if __name__ == "__main__":
    main()
