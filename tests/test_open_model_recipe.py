"""The open model's own steps: a network that starts by passing its input through."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import torch
from training_scripts import TRAINING, script

from gpen_core.architecture import GPEN
from gpen_core.config import GPENConfig, ModelCard
from gpen_core.errors import ConfigError
from gpen_core.trainer import read_recipe
from gpen_core.weights import checkpoint

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
    path = folder / "small.toml"
    path.write_text(text)
    return path


def test_a_recipe_is_drawn_and_two_networks_are_mixed(
    step: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = tmp_path / "start.safetensors"
    monkeypatch.setattr("sys.argv", ["pass_through.py", str(small_recipe(tmp_path)), str(made)])
    step.main()
    start = checkpoint.read(made)
    other = {n: t if n.endswith("kernel") else t + 1 for n, t in start.state_dict.items()}
    checkpoint.write(tmp_path / "other.safetensors", other, start.config, start.card)
    words = ["mix.py", str(made), str(tmp_path / "other.safetensors"), "0.25", str(tmp_path / "mixed.safetensors")]
    monkeypatch.setattr("sys.argv", words)
    script("open_model/mix.py").main()
    mixed = checkpoint.read(tmp_path / "mixed.safetensors")
    assert mixed.card.details["mixed"]["share_of_second"] == 0.25
    for name in ("ecd0.0.0.weight", "generator.conv1.conv.weight"):
        torch.testing.assert_close(mixed.state_dict[name], start.state_dict[name] + 0.25)


def test_a_share_outside_the_line_is_refused() -> None:
    config = GPENConfig.standard(32, narrow=0.02, style_dim=16, n_mlp=2)
    stored = checkpoint.Checkpoint({}, config, ModelCard())
    with pytest.raises(ConfigError, match="from 0 to 1"):
        script("open_model/mix.py").mix(stored, stored, 1.5)


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
