"""The open model's own steps: a network that starts by passing its input through."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
import torch
from training_runs import make_faces
from training_scripts import TRAINING, script

from gpen_core.architecture import GPEN
from gpen_core.config import GPENConfig, ModelCard
from gpen_core.errors import ConfigError
from gpen_core.trainer import read_recipe
from gpen_core.weights import checkpoint

FOLDER = TRAINING / "open_model"
LARGEST = tuple(f"generator.{name}." for name in ("convs.2", "convs.3", "convs.4", "convs.5", "to_rgbs.1", "to_rgbs.2"))


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
    assert mixed.card.details["mixed"][0]["share_of_second"] == 0.25
    for name in ("ecd0.0.0.weight", "generator.conv1.conv.weight"):
        torch.testing.assert_close(mixed.state_dict[name], start.state_dict[name] + 0.25)


def test_what_another_run_learned_since_is_added_and_other_configurations_are_refused() -> None:
    mix = script("open_model/mix.py").mix
    config = GPENConfig.standard(32, narrow=0.02, style_dim=16, n_mlp=2)
    one, two, five = (checkpoint.Checkpoint({"w": torch.full((2,), v)}, config, ModelCard()) for v in (1.0, 2.0, 5.0))
    assert mix(one, five, 2.0, two)["w"].tolist() == [7.0, 7.0]
    assert mix(one, five, 1.5)["w"].tolist() == [7.0, 7.0]
    other = checkpoint.Checkpoint({}, GPENConfig.standard(64, narrow=0.02, style_dim=16, n_mlp=2), ModelCard())
    with pytest.raises(ConfigError, match="different configurations"):
        mix(one, other, 0.5)


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


def test_a_restorer_learns_to_give_its_results_sharper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sharpen = script("open_model/sharpen.py")
    original = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    damaged = torch.stack([original[0] / 2, torch.full_like(original[1], 0.5)])
    torch.testing.assert_close(sharpen.lost_share(original, damaged), torch.tensor([0.0, 1.0]), atol=1e-5, rtol=0)
    target = sharpen.sharpened(original, torch.tensor([0.0, 1.0]), 2.0)
    torch.testing.assert_close(target[0], original[0])
    middle, around = original[1, :, 4, 4], original[1, :, 2:7, 2:7]
    wanted = 3 * middle - 2 * original[1, :, 3:6, 3:6].mean((1, 2))
    torch.testing.assert_close(target[1, :, 4, 4], wanted.clamp(around.amin((1, 2)), around.amax((1, 2))))

    recipe, faces = small_recipe(tmp_path), make_faces(tmp_path / "faces", size=32)
    config = read_recipe(recipe).network.config
    model = GPEN(config, generator=torch.Generator().manual_seed(3))
    details = {"images_seen": {"finetune": 100}}
    card = ModelCard(task="restoration", value_range=(-1.0, 1.0), details=details)
    checkpoint.write(tmp_path / "model.safetensors", model.state_dict(), config, card)
    words = ["sharpen.py", tmp_path / "model.safetensors", faces, faces, tmp_path / "out", "--recipe", recipe]
    monkeypatch.setattr(
        "sys.argv", [str(word) for word in [*words, "--max-images", 8, "--amount", 1.5, "--start", words[1]]]
    )
    sharpen.main()
    made = checkpoint.read(tmp_path / "out" / "model.safetensors")
    assert made.card.details["sharpened"] == {"amount": 1.5, "images": 8}
    assert made.card.details["images_seen"] == {"finetune": 108}
    before = model.state_dict()
    changed = {n for n, t in made.state_dict.items() if not torch.equal(t, before[n])}
    assert changed
    assert all(n.startswith(LARGEST) for n in changed)
