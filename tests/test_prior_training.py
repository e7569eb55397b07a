"""Stage 1 of each prior by its own recipe, embedding, fine-tuning; killed anywhere, they go on to the same bits."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from test_trainer import script_environment
from training_runs import PRIOR_RUNS, loop, make_faces, prior_recipe, silent, weights

from gpen_core import load_model
from gpen_core.architecture import PRIORS
from gpen_core.cli.main import main
from gpen_core.errors import ConfigError
from gpen_core.losses import between, gradient_penalty
from gpen_core.trainer.checkpoint import list_checkpoints
from gpen_core.trainer.loop import Limits, Loop
from gpen_core.trainer.network_recipe import GrowthRecipe
from gpen_core.trainer.recipe import Recipe, read_recipe
from gpen_core.trainer.stages import coarsened


def same(ours: Loop, theirs: Loop) -> None:
    one, other = weights(ours), weights(theirs)
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


@pytest.mark.parametrize("stage", ["prior", "finetune"])
@pytest.mark.parametrize("prior", PRIORS)
def test_a_stopped_run_of_any_prior_goes_on_to_bit_identical_weights(prior: str, stage: str, tmp_path: Path) -> None:
    faces, made = make_faces(tmp_path / "faces"), prior_recipe(prior, stage)
    loop(made, faces, tmp_path / "stopped").run(Limits(images=10), silent)
    resumed = loop(made, faces, tmp_path / "stopped")
    assert resumed.progress.images == 10
    straight = loop(made, faces, tmp_path / "straight")
    for run in (resumed, straight):
        run.run(Limits(images=22), silent)
    same(resumed, straight)
    assert straight.progress.skipped == 0


ENDLESS = """
import sys
from pathlib import Path
from training_runs import loop, prior_recipe, silent
from gpen_core.trainer.loop import Limits
run = loop(prior_recipe(sys.argv[1], sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
while True:
    run.run(Limits(images=run.progress.images + 2), silent)
"""


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["prior", "finetune"])
@pytest.mark.parametrize("prior", PRIORS)
def test_a_run_of_any_prior_killed_after_20_steps_goes_on_to_bit_identical_weights(
    prior: str, stage: str, tmp_path: Path
) -> None:
    faces, out = make_faces(tmp_path / "faces"), tmp_path / "killed"
    command = [sys.executable, "-c", ENDLESS, prior, stage, str(faces), str(out)]
    child = subprocess.Popen(command, env=script_environment())
    try:
        limit = time.monotonic() + 240
        while not (kept := list_checkpoints(out / "checkpoints")) or int(kept[-1].name) < 40:
            assert child.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.05)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    made = prior_recipe(prior, stage)
    resumed, straight = loop(made, faces, out), loop(made, faces, tmp_path / "straight")
    assert resumed.progress.images >= 40
    end = resumed.progress.images + 10
    for run in (resumed, straight):
        run.run(Limits(images=end), silent)
    same(resumed, straight)


@pytest.mark.parametrize("prior", ["stylegan", "pggan"])
def test_a_growing_prior_shows_one_resolution_more_at_a_time(prior: str, tmp_path: Path) -> None:
    run = loop(prior_recipe(prior, "prior"), make_faces(tmp_path / "faces"), tmp_path / "out")
    start = PRIOR_RUNS[prior]["growth"]["from_size"]
    hidden = []
    while run.progress.images < 60:
        run.run(Limits(images=run.progress.images + 2), silent)
        hidden.append(float(run.stepper.average.stages.lod))
    assert hidden[0] == (16 // start).bit_length() - 1
    assert sorted(hidden, reverse=True) == hidden
    assert hidden[-1] == 0
    assert any(h % 1 for h in hidden)


def test_growth_holds_each_size_and_fades_the_next_one_in() -> None:
    growth = GrowthRecipe(from_size=8, stable_images=100, fade_images=50)
    assert [growth.hidden(n, 32) for n in (0, 100, 125, 150, 250, 275, 300, 9999)] == [2, 2, 1.5, 1, 1, 0.5, 0, 0]
    assert GrowthRecipe().hidden(0, 1024) == 0


def test_real_pictures_are_as_coarse_as_what_is_grown() -> None:
    pictures = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert coarsened(pictures, 0.0) is pictures
    one = coarsened(pictures, 1.0)
    assert torch.equal(one[:, :, ::2, ::2], one[:, :, 1::2, 1::2])
    assert torch.allclose(coarsened(pictures, 0.5), (pictures + one) / 2)
    assert torch.allclose(coarsened(coarsened(pictures, 1.0), 1.0), one)


def test_the_slope_of_a_linear_judge_is_penalised_by_its_distance_from_one() -> None:
    real, made = (torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(n)) for n in (0, 1))
    pictures = between(real, made, torch.tensor([0.0, 1.0, 0.5]))
    assert torch.equal(pictures[0], real[0])
    assert torch.allclose(pictures[1], made[1])
    slope = torch.full((3, 4, 4), 3 / 48**0.5)
    score = (pictures * slope).sum(dim=(1, 2, 3))[:, None]
    assert torch.allclose(gradient_penalty(score, pictures), torch.tensor(4.0), atol=1e-5)


def test_growth_is_refused_where_nothing_can_grow(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="growth is for stage prior, and this is finetune"):
        Recipe.from_dict({"stage": "finetune", "growth": {"from_size": 8}})
    with pytest.raises(ConfigError, match=r"from_size is 512, above the 256 px"):
        Recipe.from_dict({"stage": "prior", "growth": {"from_size": 512}})
    with pytest.raises(ConfigError, match=r"'stylegan2' cannot fade in; leave growth.from_size at 0"):
        loop(prior_recipe("stylegan2", "prior", growth={"from_size": 4}), make_faces(tmp_path / "f"), tmp_path / "o")


@pytest.mark.parametrize("prior", [p for p in PRIORS if p != "stylegan2"])
def test_the_shipped_recipe_of_a_prior_is_the_one_tested_here(prior: str) -> None:
    shipped, tried = read_recipe(f"prior-{prior}-256"), prior_recipe(prior, "prior")
    assert shipped.network.prior == prior
    for key in ("form", "gradient_penalty", "drift", "path_length", "mixing"):
        assert getattr(shipped.losses, key) == getattr(tried.losses, key)
    assert shipped.growth.from_size == tried.growth.from_size


@pytest.mark.parametrize("prior", [p for p in PRIORS if p != "stylegan2"])
def test_a_prior_goes_through_its_stages_by_recipes_alone(prior: str, tmp_path: Path) -> None:
    faces = make_faces(tmp_path / "faces")
    shape = ["size=16", "narrow=0.02", "style_dim=12", f"prior={prior}"]
    if prior == "biggan":
        shape += ["options.attention=[8]", "options.shared_dim=4"]
    common = [f"network.{key}" for key in shape] + ["data.batch=2", "data.workers=0", "run.validation_pictures=2"]
    common += ["run.precision=fp32", "losses.mixing=0", "losses.path_length=0"]

    def train(recipe: str, out: str, *more: str) -> None:
        sets = [word for change in common for word in ("--set", change)]
        command = ["train", recipe, "--data", str(faces), "--out", str(tmp_path / out), "--device", "cpu", *sets, *more]
        assert main(command) == 0

    grown = ["--set", "growth.stable_images=1", "--set", "growth.fade_images=1"]
    train(f"prior-{prior}-256", "prior", "--max-images", "8", *grown)
    alone = str(tmp_path / "prior" / "prior.safetensors")
    train("embed-256", "embedded", "--prior", alone)
    train("finetune-256", "tuned", "--prior", alone, "--max-images", "4")
    model = load_model(tmp_path / "tuned" / "model.safetensors", device="cpu", precision="fp32")
    assert model.config.prior == prior
    assert model.card.details["images_seen"] == {"prior": 8, "finetune": 4}
    assert bool(model(torch.zeros(1, 3, 16, 16)).isfinite().all())
