"""The open model's own steps: a network that starts by passing its input through."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import torch
from training_scripts import TRAINING, script

from gpen_core.config import GPENConfig
from gpen_core.errors import ConfigError
from gpen_core.trainer import read_recipe
from gpen_core.weights import GPEN, checkpoint

FOLDER = TRAINING / "open_model"


@pytest.fixture(scope="module")
def step() -> ModuleType:
    return script("open_model/pass_through.py")


def test_the_input_passes_through_and_every_rgb_output_still_learns(step: ModuleType) -> None:
    config = GPENConfig.standard(32, narrow=0.02, style_dim=16, n_mlp=2)
    model = GPEN(config, generator=torch.Generator().manual_seed(0))
    model.load_state_dict(step.pass_through(model.state_dict(), config))
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    y = model(x)
    assert torch.allclose(y, x, atol=1e-5)
    (y - 0.3 * x.flip(0)).square().mean().backward()
    for name, parameter in model.named_parameters():
        if "to_rgb" in name and name.endswith("conv.weight"):
            assert parameter.grad is not None
            assert parameter.grad.abs().max() > 0


def small_recipe(folder: Path) -> Path:
    text = (FOLDER / "full-finetune-256.toml").read_text().replace("size = 256", "size = 32").replace("0.25", "0.02")
    text = text.replace("batch = 32", "batch = 4").replace("workers = 8", "workers = 0")
    path = folder / "small.toml"
    path.write_text(text)
    return path


def test_a_recipe_is_drawn_and_begins_by_passing_its_input_through(
    step: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "start.safetensors"
    monkeypatch.setattr("sys.argv", ["pass_through.py", str(small_recipe(tmp_path)), str(made)])
    step.main()
    start = checkpoint.read(made)
    model = GPEN(start.config, start.card)
    model.load_state_dict(start.state_dict())
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1
    assert torch.allclose(model(x), x, atol=1e-5)


def test_a_network_too_thin_to_carry_the_colours_is_refused(step: ModuleType) -> None:
    config = GPENConfig.standard(32, narrow=0.005, style_dim=16, n_mlp=2)
    with pytest.raises(ConfigError, match="six concatenated channels"):
        step.pass_through({}, config)


@pytest.mark.parametrize("path", sorted(FOLDER.parent.glob("*/*.toml")), ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_recipe_is_read(path: Path) -> None:
    recipe = read_recipe(path)
    assert recipe.name in path.read_text()


def test_the_full_recipe_is_the_size_it_says() -> None:
    recipe = read_recipe(FOLDER / "full-finetune-256.toml")
    with torch.device("meta"):
        count = sum(p.numel() for p in GPEN(recipe.network.config).parameters())
    assert count == pytest.approx(7.7e6, rel=0.02)
