"""The loop: interrupted, resumed, divided among processes, diverging."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_runs import in_processes, loop, make_faces, recipe, script_environment, silent, weights

from gpen_core.data import Batch
from gpen_core.errors import TrainingError
from gpen_core.trainer import stages
from gpen_core.trainer.checkpoint import list_checkpoints, read_checkpoint, write_checkpoint
from gpen_core.trainer.log import read_log
from gpen_core.trainer.loop import Limits

# Takes steps without end and writes a checkpoint after every one, until it is killed.
ENDLESS = """
import sys
from pathlib import Path
from training_runs import in_processes, loop, recipe, silent
from gpen_core.trainer.loop import Limits
run = loop(recipe(sys.argv[1], augmentation={"target": 0.6, "start": 0.3}), Path(sys.argv[2]), Path(sys.argv[3]))
while True:
    run.run(Limits(images=run.progress.images + 2), silent)
"""


@pytest.mark.parametrize("stage", ["prior", "finetune"])
def test_a_killed_run_goes_on_to_bit_identical_weights(stage, tmp_path):
    faces = make_faces(tmp_path / "faces")
    out = tmp_path / "killed"
    child = subprocess.Popen([sys.executable, "-c", ENDLESS, stage, str(faces), str(out)], env=script_environment())
    try:
        limit = time.monotonic() + 240
        while len(list_checkpoints(out / "checkpoints")) < 2 or int(list_checkpoints(out / "checkpoints")[-1].name) < 6:
            assert child.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.05)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    made = recipe(stage, augmentation={"target": 0.6, "start": 0.3})
    resumed = loop(made, faces, out)
    reached = resumed.progress.images
    assert reached >= 6
    resumed.run(Limits(images=reached + 14), silent)
    straight = loop(made, faces, tmp_path / "straight")
    straight.run(Limits(images=reached + 14), silent)
    ours, theirs = weights(resumed), weights(straight)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    steps = [line["step"] for line in read_log(out)]
    assert steps == list(range(1, resumed.progress.steps + 1))


def test_tensorboard_shows_no_step_twice_after_a_resume(tmp_path):
    faces, out = make_faces(tmp_path / "faces"), tmp_path / "run"
    first = loop(recipe(), faces, out)
    first.run(Limits(images=4), silent)
    kept = list_checkpoints(out / "checkpoints")[-1]
    state = {name: (kept / name).read_bytes() for name in os.listdir(kept)}
    first.run(Limits(images=8), silent)
    for folder in list_checkpoints(out / "checkpoints"):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    kept.mkdir()
    for name, content in state.items():
        (kept / name).write_bytes(content)
    again = loop(recipe(), faces, out)
    assert again.progress.steps == 2
    again.run(Limits(images=8), silent)
    board = EventAccumulator(str(out / "tensorboard"), purge_orphaned_data=True).Reload()
    assert [event.step for event in board.Scalars("train/g")] == [1, 2, 3, 4]


# One of two processes; writes its weights.
HALF = """
import sys
from pathlib import Path
import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from training_runs import in_processes, loop, recipe, script_environment, silent, weights
from gpen_core.trainer.loop import Limits
processes = Accelerator(cpu=True)
assert processes.num_processes == 2
made = recipe(run={"precision": sys.argv[3], "checkpoint_minutes": 0})
run = loop(made, Path(sys.argv[1]), Path(sys.argv[2]), processes=processes, rank=processes.process_index)
run.run(Limits(images=80), silent)
if processes.is_main_process:
    save_file(weights(run), Path(sys.argv[2]) / "weights.safetensors")
"""


# One of two processes whose program trains twice.
TWICE = """
import sys
from pathlib import Path
from training_runs import recipe, silent
from gpen_core.trainer import Limits, Places, Sources, train
for name in ("one", "two"):
    places = Places(data=Path(sys.argv[1]), out=Path(sys.argv[2]) / name)
    train(recipe(), places, Sources(), Limits(images=4), silent, device="cpu")
"""


def two_processes(faces: Path, out: Path, precision: str) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    in_processes(2, HALF, str(faces), str(out), precision)
    return load_file(out / "weights.safetensors")


@pytest.mark.slow
def test_a_program_of_two_processes_may_train_twice(tmp_path):
    in_processes(2, TWICE, str(make_faces(tmp_path / "faces")), str(tmp_path))
    assert all((tmp_path / name / "model.safetensors").exists() for name in ("one", "two"))


def test_two_processes_agree_with_one_that_accumulates_the_same_halves(tmp_path):
    faces = make_faces(tmp_path / "faces")
    theirs = two_processes(faces, tmp_path / "two", "fp64")
    one = loop(recipe(data={"accumulate": 2}, run={"precision": "fp64"}), faces, tmp_path / "one")
    one.run(Limits(images=80), silent)
    assert one.progress.steps == 20
    ours = weights(one)
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 1e-9


def test_a_step_with_infinite_gradients_is_skipped_and_several_in_a_row_stop_the_run(tmp_path):
    made = recipe(rates={"nan_limit": 5}, losses={"path_length": 0.0, "r1": 0.0})
    run = loop(made, make_faces(tmp_path / "faces"), tmp_path / "out")
    before = weights(run)
    poisoned = torch.full((2, 3, 16, 16), float("nan"))
    run.stepper.take([Batch(poisoned, poisoned, 0)])
    assert run.progress.skipped == 2
    after = weights(run)
    assert all(torch.equal(before[name], after[name]) for name in before)
    run.stepper.take([Batch(poisoned, poisoned, 0)])
    with pytest.raises(TrainingError, match=r"not finite 5 times in a row.*lower the rates"):
        run.stepper.take([Batch(poisoned, poisoned, 0)])


def test_a_rate_that_diverges_ends_the_run_with_a_message_and_the_checkpoint_before_it(tmp_path):
    faces, out = make_faces(tmp_path / "faces"), tmp_path / "out"
    loop(recipe(), faces, out).run(Limits(images=2), silent)
    wild = loop(recipe(rates={"encoder": 1e30, "decoder": 1e30, "discriminator": 1e30}), faces, out)
    with pytest.raises(TrainingError, match=r"the training diverged; lower the rates \(encoder 1e\+30"):
        wild.run(Limits(images=200), silent)
    assert [p.name for p in list_checkpoints(out / "checkpoints")] == ["000000000002"]


def test_clipping_bounds_what_a_step_can_do(tmp_path):
    faces = make_faces(tmp_path / "faces")
    run = loop(recipe(rates={"clip": 1e-12}), faces, tmp_path / "out")
    run.run(Limits(images=2), silent)
    assert run.progress.steps == 1


def test_the_average_lags_behind_the_generator(tmp_path):
    run = loop(recipe(run={"ema_half_life": 2.0, "ema_ramp": None}), make_faces(tmp_path / "faces"), tmp_path / "out")
    name = "average/ecd0.0.0.weight"
    start = weights(run)
    run.run(Limits(images=2), silent)
    now = weights(run)
    halfway = (start[name] + now[name.replace("average", "generator")]) / 2
    assert torch.allclose(now[name], halfway, atol=1e-7)


def test_content_alone_trains_until_the_discriminator_is_wanted(tmp_path):
    run = loop(recipe(losses={"adversarial_from": 4}), make_faces(tmp_path / "faces"), tmp_path / "out")
    before = weights(run)
    run.run(Limits(images=4), silent)
    early = weights(run)
    assert all(torch.equal(before[n], early[n]) for n in before if n.startswith("discriminator/"))
    run.run(Limits(images=6), silent)
    assert any(not torch.equal(early[n], t) for n, t in weights(run).items() if n.startswith("discriminator/"))


def test_a_fresh_discriminator_has_its_own_rate_and_no_feature_matching_at_first(tmp_path):
    made = recipe(rates={"fresh_images": 4, "fresh_discriminator": 1e-3, "discriminator": 1e-5})
    run = loop(made, make_faces(tmp_path / "faces"), tmp_path / "out")
    run.run(Limits(images=6), silent)
    lines = read_log(tmp_path / "out")
    assert ["feature_matching" in line for line in lines] == [False, False, True]
    assert run.stepper.discriminator_adam.param_groups[0]["lr"] == pytest.approx(1e-5 * 3 / 4)


def test_rates_are_those_of_the_recipe_scaled_for_lazy_regularisation(tmp_path):
    run = loop(recipe(), make_faces(tmp_path / "faces"), tmp_path / "out")
    run.run(Limits(images=2), silent)
    rates = {g["name"]: g["lr"] for g in run.stepper.generator_adam.param_groups}
    assert rates == pytest.approx({"encoder": 2e-3 * 2 / 3, "decoder": 2e-4 * 2 / 3})
    assert run.stepper.generator_adam.param_groups[0]["betas"] == pytest.approx((0.0, 0.99 ** (2 / 3)))


def test_the_generators_rates_fall_by_half_in_their_half_life(tmp_path):
    run = loop(recipe(rates={"half_life": 4}), make_faces(tmp_path / "faces"), tmp_path / "out")
    run.run(Limits(images=10), silent)
    rates = {g["name"]: g["lr"] for g in run.stepper.generator_adam.param_groups}
    assert rates == pytest.approx({"encoder": 2e-3 * 2 / 3 / 4, "decoder": 2e-4 * 2 / 3 / 4})
    assert run.stepper.discriminator_adam.param_groups[0]["lr"] == pytest.approx(2e-3 * 3 / 4), "fresh, and as fast"


def test_augmentation_never_touches_the_pairs(tmp_path):
    made = recipe(
        augmentation={"target": 0.6, "start": 0.8}, losses={"adversarial": 0.0, "r1": 0.0, "path_length": 0.0}
    )
    bare = recipe(losses={"adversarial": 0.0, "r1": 0.0, "path_length": 0.0})
    faces = make_faces(tmp_path / "faces")
    results = []
    for number, chosen in enumerate((made, bare)):
        run = loop(chosen, faces, tmp_path / str(number))
        run.run(Limits(images=4), silent)
        results.append(weights(run))
    assert all(torch.equal(t, results[1][n]) for n, t in results[0].items())


@pytest.mark.parametrize("stage", ["prior", "finetune"])
def test_whatever_the_discriminator_looks_at_is_emphasised(stage, tmp_path, monkeypatch):
    amounts, seen = [], []

    def marked(pictures: torch.Tensor, amount: float) -> torch.Tensor:
        amounts.append(amount)
        return pictures + 100

    monkeypatch.setattr(stages, "emphasise", marked)
    run = loop(recipe(stage, losses={"emphasis": 8.0}), make_faces(tmp_path / "faces"), tmp_path / "out")
    discriminator = run.stepper.stage.discriminator
    look = discriminator.features
    monkeypatch.setattr(discriminator, "features", lambda pictures: (seen.append(pictures.detach()), look(pictures))[1])
    run.run(Limits(images=4), silent)
    assert set(amounts) == {8.0}
    assert len(seen) >= 6
    assert all(float(pictures.min()) > 50 for pictures in seen)


def test_fine_structure_can_weigh_by_itself(tmp_path):
    made = recipe(losses={"fine": 0.5, "adversarial": 0.0, "path_length": 0.0, "r1": 0.0})
    run = loop(made, make_faces(tmp_path / "faces"), tmp_path / "out")
    run.run(Limits(images=2), silent)
    line = read_log(tmp_path / "out")[0]
    assert min(line["content"], line["fine"]) > 0
    assert line["g"] == pytest.approx(line["content"] + line["fine"])


def test_a_checkpoint_in_small_files_reads_back_whole(tmp_path):
    tensors = {"large": torch.randn(300, 100), "small": torch.arange(5), "scalar": torch.tensor(2.5)}
    write_checkpoint(tmp_path / "000000000001", tensors, {"a": 0.1}, part_bytes=20_000)
    files = list((tmp_path / "000000000001").glob("part-*"))
    assert len(files) > 5
    assert max(f.stat().st_size for f in files) <= 20_000
    again, state = read_checkpoint(tmp_path / "000000000001")
    assert all(torch.equal(again[name], tensors[name]) for name in tensors)
    assert state == {"a": 0.1}


def test_a_full_disk_leaves_the_checkpoint_before_it(tmp_path, monkeypatch):
    run = loop(recipe(), make_faces(tmp_path / "faces"), tmp_path / "out")
    run.run(Limits(images=4), silent)

    def full(path: Path, tensors: object) -> None:
        path.write_bytes(b"half a file")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gpen_core.trainer.checkpoint.write_safetensors", full)
    with pytest.raises(TrainingError, match=r"No space left.*one before it is whole"):
        run.run(Limits(images=6), silent)
    monkeypatch.undo()
    assert sorted(p.name for p in (tmp_path / "out" / "checkpoints").iterdir()) == ["000000000004"]
    assert loop(recipe(), tmp_path / "faces", tmp_path / "out").progress.images == 4


def test_a_checkpoint_of_another_configuration_is_refused_with_both_named(tmp_path):
    faces = make_faces(tmp_path / "faces")
    loop(recipe(), faces, tmp_path / "out").run(Limits(images=2), silent)
    with pytest.raises(TrainingError, match=r"another run \(style_dim: 12 there, 8 here\)"):
        loop(recipe(network={"style_dim": 8}), faces, tmp_path / "out")


def test_only_the_last_checkpoints_are_kept(tmp_path):
    run = loop(recipe(run={"keep": 2}), make_faces(tmp_path / "faces"), tmp_path / "out")
    for images in (2, 4, 6):
        run.run(Limits(images=images), silent)
    assert [p.name for p in list_checkpoints(tmp_path / "out" / "checkpoints")] == ["000000000004", "000000000006"]


def test_the_log_survives_a_line_cut_short(tmp_path):
    (tmp_path / "log.jsonl").write_text(json.dumps({"step": 1, "images": 2, "group": "train"}) + '\n{"step": 2, "ima')
    assert [line["step"] for line in read_log(tmp_path)] == [1]
