"""Several processes: gradients that meet on the way, and runs that go on with another number of them."""

from __future__ import annotations

import itertools
import time

import pytest
import torch
from training_runs import in_processes, loop, make_faces, recipe, silent, started, weights

from gpen_core.data import plan, shares
from gpen_core.errors import TrainingError
from gpen_core.trainer import Limits, Places, Sources, train
from gpen_core.trainer.checkpoint import list_checkpoints, read_checkpoint
from gpen_core.trainer.log import read_log

# Process RANK of some: goes on to so many images, then to as many more, by a new loop from the checkpoint. Only process
# 0 sees the run's folder.
RUN = """
import sys
from pathlib import Path
from accelerate import Accelerator
from training_runs import loop, recipe, silent
from gpen_core.trainer.loop import Limits
processes = Accelerator(cpu=True)
rank = processes.process_index
out = Path(sys.argv[2]) if rank == 0 else Path(sys.argv[2]) / f"elsewhere-{rank}"
minutes = float(sys.argv[4]) if len(sys.argv) > 4 else 0
made = recipe(augmentation={"target": 0.6, "start": 0.3}, run={"checkpoint_minutes": minutes})
for images in sys.argv[3].split(","):
    run = loop(made, Path(sys.argv[1]), out, processes=processes, rank=rank)
    run.run(Limits(images=int(images)), silent)
"""

# What `gpen train` calls, with the device left to choose itself, as in the lines of the documentation.
WHOLE = """
import sys
from pathlib import Path
from training_runs import recipe, silent
from gpen_core.trainer import Limits, Places, Sources, run
made = recipe(run={"max_images": 12})
run.train(made, Places(data=Path(sys.argv[1]), out=Path(sys.argv[2])), Sources(), Limits(), silent)
"""

# The same with the networks divided among the processes, or not, as the word after each number of images says.
SHARD = """
import sys
from pathlib import Path
from accelerate import Accelerator
from training_runs import loop, recipe, silent
from gpen_core.trainer.loop import Limits
processes = Accelerator(cpu=True)
rank = processes.process_index
out = Path(sys.argv[2]) if rank == 0 else Path(sys.argv[2]) / f"elsewhere-{rank}"
own = lambda p: p.to_local() if hasattr(p, "to_local") else p
for images, word in (pair.split(":") for pair in sys.argv[3].split(",")):
    made = recipe(run={"shard": word == "shard", "precision": "fp64"})
    run = loop(made, Path(sys.argv[1]), out, processes=processes, rank=rank)
    held = sum(own(p).numel() for p in run.stepper.stage.generator.parameters())
    every = sum(p.numel() for p in run.stepper.average.parameters())
    assert (held < every) == made.run.shard, (held, every)
    run.run(Limits(images=int(images)), silent)
    moments = run.stepper.generator_adam.state_dict()["state"][0]["exp_avg"]
    assert hasattr(moments, "to_local") == made.run.shard
"""

# Averages what two processes each differentiate, in buckets so small that many are under way.
AVERAGE = """
import torch
from accelerate import Accelerator
from torch import nn
from gpen_core.trainer.gradients import Gradients
processes = Accelerator(cpu=True)
torch.manual_seed(0)
network = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3), nn.Tanh(), nn.Linear(3, 2))
unused = nn.Parameter(torch.ones(5))
gradients = Gradients([unused, *network.parameters()], processes, bucket_bytes=40)
inputs = torch.randn(2, 3, 6, 4, generator=torch.Generator().manual_seed(1))
for turn in range(3):
    gradients.expect(last=turn == 2)
    network(inputs[processes.process_index, turn]).square().sum().backward()
    early = len(gradients._sent)
    assert (early > 0) == (turn == 2), early
gradients.average()
got = [p.grad.clone() for p in network.parameters()]
network.zero_grad()
(network(inputs.flatten(0, 2)).square().sum() / 2).backward()
assert all(torch.allclose(a, p.grad, atol=1e-6) for a, p in zip(got, network.parameters()))
assert unused.grad is None
"""


def test_gradients_meet_while_the_backward_pass_runs_and_are_the_mean():
    in_processes(2, AVERAGE)


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_processes_and_the_same_step(tmp_path):
    faces, out = make_faces(tmp_path / "faces"), tmp_path / "out"
    for count, images in ((2, 8), (3, 16), (1, 24)):
        in_processes(count, RUN, str(faces), str(out), str(images))
    (*_, last) = list_checkpoints(out / "checkpoints")
    progress = read_checkpoint(last)[1]["progress"]
    assert (progress["images"], progress["steps"], progress["step_images"]) == (24, 6, 4)
    assert progress["history"] == []
    assert [line["images"] for line in read_log(out)] == [4, 8, 12, 16, 20, 24]


def test_two_processes_killed_and_restarted_as_one_take_the_steps_of_one_run(tmp_path):
    faces, out = make_faces(tmp_path / "faces"), tmp_path / "killed"
    children = started(2, RUN, str(faces), str(out), "4000", "1e-9")
    try:
        limit = time.monotonic() + 240
        while not (found := list_checkpoints(out / "checkpoints")) or int(found[-1].name) < 12:
            assert time.monotonic() < limit
            time.sleep(0.05)
    finally:
        for child in children:
            child.kill()
            child.wait()
    reached = int(list_checkpoints(out / "checkpoints")[-1].name)
    for folder, data in ((out, {}), (tmp_path / "straight", {"accumulate": 2})):
        made = recipe(data=data, augmentation={"target": 0.6, "start": 0.3})
        loop(made, faces, folder).run(Limits(images=reached + 20), silent)
    killed, straight = ([line["content"] for line in read_log(folder)] for folder in (out, tmp_path / "straight"))
    assert len(killed) == len(straight) == (reached + 20) // 4
    assert killed == pytest.approx(straight, rel=0.02)


def test_processes_that_a_launcher_started_train_together(tmp_path):
    faces, out = make_faces(tmp_path / "faces"), tmp_path / "out"
    in_processes(2, WHOLE, str(faces), str(out))
    steps = [row["images"] for row in read_log(out) if row["group"] == "train"]
    assert steps == [4, 8, 12]  # two of two pictures each


def test_processes_that_cannot_know_of_each_other_are_refused(tmp_path, monkeypatch):
    class Apart:
        num_processes, process_index = 1, 0

    monkeypatch.setattr("accelerate.Accelerator", lambda **options: Apart())
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match=r"2 processes were launched.*start one"):
        train(recipe(), Places(data=make_faces(tmp_path / "faces"), out=tmp_path / "out"), Sources(), Limits(), silent)
    assert not (tmp_path / "out").exists()


def test_the_same_processes_go_on_to_bit_identical_weights(tmp_path):
    faces = make_faces(tmp_path / "faces")
    in_processes(2, RUN, str(faces), str(tmp_path / "one"), "20")
    in_processes(2, RUN, str(faces), str(tmp_path / "two"), "12,20")
    ours, theirs = (
        read_checkpoint(list_checkpoints(tmp_path / name / "checkpoints")[-1])[0] for name in ("one", "two")
    )
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


@pytest.mark.slow
def test_processes_that_divide_the_networks_take_the_steps_of_those_that_do_not(tmp_path):
    faces = make_faces(tmp_path / "faces")
    in_processes(2, SHARD, str(faces), str(tmp_path / "whole"), "16:whole")
    # Divided, gone on with from the checkpoint, and gone on with whole again: the file is the same.
    in_processes(2, SHARD, str(faces), str(tmp_path / "divided"), "8:shard,12:shard,16:whole")
    ours, theirs = (
        read_checkpoint(list_checkpoints(tmp_path / name / "checkpoints")[-1])[0] for name in ("divided", "whole")
    )
    assert ours.keys() == theirs.keys()
    worst = max(float((tensor.double() - theirs[name].double()).abs().max()) for name, tensor in ours.items())
    assert worst < 1e-6
    assert ours["generator_adam/0.exp_avg"].shape == theirs["generator_adam/0.exp_avg"].shape


@pytest.mark.parametrize(("step", "size"), [(16, 8), (16, 4), (12, 5), (7, 2)])
@pytest.mark.parametrize("ranks", [1, 2, 3, 5])
def test_any_number_of_ranks_takes_the_same_positions_in_the_same_steps(step, size, ranks):
    parts = shares(step, size, ranks)
    turns = len(parts[0])
    plans = [plan(40, size=size, step=step, rank=rank, ranks=ranks) for rank in range(ranks)]
    for start in (40, 40 + step):
        batches = [b for mine in plans for b in itertools.islice(mine, turns)]
        assert sorted(p for b in batches for p in b) == list(range(start, start + step))
        assert max(map(len, batches)) <= size
        assert max(map(len, batches)) - min(map(len, batches)) <= 1


def test_more_ranks_than_pictures_in_a_step_are_refused():
    with pytest.raises(TrainingError, match="4 pictures cannot be divided among 5"):
        shares(4, 2, 5)


def test_batches_of_unequal_size_weigh_by_their_pictures(tmp_path):
    faces = make_faces(tmp_path / "faces")
    tables = {"losses": {"adversarial": 0.0, "r1": 0.0, "path_length": 0.0}, "run": {"precision": "fp64"}}
    results = []
    for number, data in enumerate(({"batch": 3}, {"batch": 2, "accumulate": 2})):
        run = loop(recipe(data=data, **tables), faces, tmp_path / str(number))
        run.progress.step_images = 3
        run.run(Limits(images=9), silent)
        results.append(weights(run))
    assert max(float((results[0][n] - results[1][n]).abs().max()) for n in results[0]) < 1e-6
