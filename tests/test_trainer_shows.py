"""What a run shows on the way: grids, speed, the best so far; and in which numbers it computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from training_runs import loop, make_faces, recipe, silent

from gpen_core.data import Degradation, FaceFolder
from gpen_core.trainer import loop as loops
from gpen_core.trainer import step as steps
from gpen_core.trainer.checkpoint import read_checkpoint
from gpen_core.trainer.log import read_log
from gpen_core.trainer.loop import Limits, Loop
from gpen_core.trainer.validation import Validation


def shown_loop(folder: Path, figures: list[float] | None = None, **run: Any) -> Loop:
    """A loop with a validation; figures: what its perceptual distance is said to be, one after the other."""
    faces = make_faces(folder / "faces")
    measures = {} if figures is None else {"perceptual": lambda result, original: torch.tensor([figures.pop(0)])}
    validation = Validation(FaceFolder(faces, 16), Degradation("gpen-released"), 2, measures=measures)
    return loop(recipe(run=run), faces, folder / "out", validation=validation)


def test_a_new_run_shows_a_grid_before_its_first_step_and_early_ones_after(tmp_path, monkeypatch):
    at: list[int] = []
    run = shown_loop(tmp_path, grid_every=128)
    monkeypatch.setattr(loops, "save_picture", lambda grid, path: at.append(run.progress.images))
    run.run(Limits(images=36), silent)
    assert at == [0, 2, 8, 32]
    at.clear()
    run.run(Limits(images=40), silent)
    assert at == []


def test_the_grid_is_a_file_from_the_start(tmp_path):
    run = shown_loop(tmp_path)
    run.run(Limits(stopping=lambda: True), silent)
    assert run.progress.steps == 0
    assert (tmp_path / "out" / "grid.png").is_file()


def test_speed_counts_the_images_of_this_run_alone(tmp_path):
    run = loop(recipe(), make_faces(tmp_path / "faces"), tmp_path / "out")
    run.progress.images = run.progress.started_at = 5_000
    run.run(Limits(images=5_004), silent)
    (first, second) = read_log(tmp_path / "out")
    # What is done after the row was written takes time, too; counted from the first image it were 5,004.
    assert 4 / run.progress.seconds <= second["images_per_second"] * 1.001 < 400 / run.progress.seconds
    assert first["images_per_second"] < 2_000


def test_the_best_is_what_looks_best_not_what_is_blurred_best(tmp_path):
    # The first is the input's, which is measured once.
    run = shown_loop(tmp_path, [0.5, 0.9, 0.3, 0.4, 0.2], validate_every=2, grid_every=0)
    best = []
    for images in (2, 4, 6, 8):
        run.run(Limits(images=images), silent)
        best.append(read_checkpoint(tmp_path / "out" / "best")[1]["progress"])
    assert [b["images"] for b in best] == [2, 4, 4, 8]
    assert [b["best"] for b in best] == pytest.approx([-0.9, -0.3, -0.3, -0.2])


def test_a_score_of_another_figure_or_of_weights_that_are_gone_counts_no_more(tmp_path):
    run = shown_loop(tmp_path, [0.5, 0.9], validate_every=2)
    run.run(Limits(images=2), silent)
    assert run.progress.best is not None
    faces = tmp_path / "faces"
    assert loop(recipe(), faces, tmp_path / "out").progress.best == run.progress.best
    assert loop(recipe(run={"best": "psnr"}), faces, tmp_path / "out").progress.best is None
    (tmp_path / "out" / "best" / "state.json").unlink()
    assert loop(recipe(), faces, tmp_path / "out").progress.best is None


@pytest.mark.parametrize("pays", [True, False])
def test_auto_computes_in_bfloat16_only_where_it_pays(pays, tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "bfloat16_pays", lambda device: pays)
    run = loop(recipe(run={"precision": "auto"}), make_faces(tmp_path / "faces"), tmp_path / "out")
    with run.stepper.autocast():
        assert torch.is_autocast_enabled("cpu") == pays
    run.run(Limits(images=2), silent)
    assert run.stepper.precision == ("bf16" if pays else "fp32")
