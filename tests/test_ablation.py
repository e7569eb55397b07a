"""The ablation's variants are networks that can be built and losses that they can serve; its report says what it is."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from training_runs import make_faces
from training_scripts import TRAINING, script

from gpen_core.trainer.recipe import read_recipe
from gpen_core.trainer.stages import build_stage

run, variants = script("ablation/run.py"), script("ablation/variants.py")
SMALL = {
    "network.channels": {str(r): 16 for r in (4, 8, 16, 32, 64)},
    "network.narrow": 0.25,
    "network.channel_multiplier": 1.0,
}


@pytest.mark.parametrize("name", [v.name for v in variants.VARIANTS])
def test_every_variant_can_be_built_with_its_losses(name: str) -> None:
    variant = next(v for v in variants.VARIANTS if v.name == name)
    recipe = read_recipe(TRAINING / "ablation" / "finetune.toml", {**variant.changes, **SMALL})
    with torch.device("meta"):
        stage = build_stage(recipe, torch.device("meta"))
    assert stage.generator.config.options.features == variant.changes.get("network.options.features", True)
    assert (variant.prior is None) == (stage.generator.generator.prior_name is None or name == "without prior")


@pytest.mark.parametrize("prior", variants.PRIORS)
def test_every_prior_of_the_ablation_can_be_trained_by_its_losses(prior: str) -> None:
    recipe = read_recipe(TRAINING / "ablation" / "prior.toml", {**variants.PRIORS[prior], **SMALL})
    with torch.device("meta"):
        build_stage(recipe, torch.device("meta"))


def test_the_report_gives_the_spread_and_names_what_lies_below_its_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {}
    for name, psnr in (("above", (22.0, 24.0)), ("below", (18.0, 20.0))):
        rows[name] = [
            {"psnr": p, "ssim": 0.5, "perceptual": 0.2, "sharpness": 1.0, "detail": 0.1, "input_psnr": 21.0}
            | {f"input_{f}": 0.0 for f in ("ssim", "perceptual", "sharpness", "detail")}
            for p in psnr
        ]
    monkeypatch.setattr(sys, "argv", ["run", "a", "b", str(tmp_path)])
    options = type("Options", (), {"prior_images": 1000, "images": 2000, "seeds": 2})
    text = run.table(rows, options)
    assert "| above | 2 | 23.000 ± 1.414 |" in text
    assert "Below the damaged input in PSNR: below." in text


def test_a_run_counts_as_finished_only_at_the_images_asked_for(tmp_path: Path) -> None:
    assert run.figures_in(tmp_path, 16) is None
    (tmp_path / "figures.json").write_text(json.dumps({"psnr": 20.0, "images": 16}), encoding="utf-8")
    assert run.figures_in(tmp_path, 16) == {"psnr": 20.0, "images": 16}
    assert run.figures_in(tmp_path, 32) is None


@pytest.mark.slow
def test_the_whole_comparison_runs_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faces = make_faces(tmp_path / "faces", size=64)
    words = ["run", str(faces), str(faces), str(tmp_path / "runs"), "--prior-images", "16", "--images", "16"]
    monkeypatch.setattr(sys, "argv", [*words, "--seeds", "1", "--report", str(tmp_path)])
    run.main()
    text = (tmp_path / "ablation.md").read_text()
    assert all(f"| {v.name} | 1 |" in text for v in variants.VARIANTS)
    figures = json.loads((tmp_path / "runs" / "GPEN-0" / "figures.json").read_text())
    assert figures["psnr"] > 0
    assert (tmp_path / run.PICTURE).stat().st_size > 1000
