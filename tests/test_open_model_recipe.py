"""The open model's own steps: a network that starts by passing its input through."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor
from training_scripts import TRAINING, script

from gpen_core.architecture.operators import blur, blur_kernel, upsample
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
    text = (FOLDER / "finetune-256.toml").read_text().replace("size = 256", "size = 32").replace("0.25", "0.02")
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


def halves(pictures: Tensor) -> Tensor:
    """Half the size, as the encoder does it: blurred, then every second pixel."""
    return blur(pictures, blur_kernel(), (2, 2))[..., 1:-1:2, 1:-1:2]


def test_a_priors_picture_is_kept_and_the_input_adds_what_it_lacks(step: ModuleType) -> None:
    config = GPENConfig.standard(32, narrow=0.02, style_dim=16, n_mlp=2)
    model = GPEN(config, generator=torch.Generator().manual_seed(0))
    model.load_state_dict(step.pass_through(model.state_dict(), config, above=16))
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        given = model(x)
        for level in (1, 2):
            rgb = model.get_parameter(f"generator.to_rgbs.{level}.conv.weight")
            width = config.channels[8 << level]
            rgb[0, :, width : width + 6] = 0
        priors = model(x)
    assert priors.abs().mean() > 0.01
    lacking = x - upsample(halves(x), blur_kernel(4.0))
    torch.testing.assert_close((given - priors)[..., 4:-4, 4:-4], lacking[..., 4:-4, 4:-4], rtol=0, atol=1e-5)


def test_a_network_of_twice_the_size_begins_with_the_smaller_ones_pictures() -> None:
    enlarge = script("open_model/enlarge.py")
    recipe = read_recipe(FOLDER / "finetune-256.toml", {"network.size": 32, "network.narrow": 0.02})
    config = recipe.network.config
    fewer = {r: count for r, count in config.channels.items() if r < 32}
    small = GPEN(replace(config, in_size=16, out_size=16, channels=fewer))
    model = enlarge.enlarged(recipe, small)
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1
    with torch.no_grad():
        expected = upsample(small(halves(x)), blur_kernel(4.0))
        torch.testing.assert_close(model(x)[..., 4:-4, 4:-4], expected[..., 4:-4, 4:-4], rtol=0, atol=1e-4)
    with pytest.raises(ConfigError, match="twice 32 px"):
        enlarge.enlarged(recipe, model)


def test_a_mean_of_two_stages_lies_between_them(tmp_path) -> None:
    average = script("open_model/average.py")
    small = GPENConfig.standard(16, narrow=1 / 64, style_dim=8, n_mlp=1)
    first, second = (GPEN(small, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2))
    got = average.mean(first, second, 0.25)
    for name, tensor in first.state_dict().items():
        torch.testing.assert_close(got[name], 0.75 * tensor + 0.25 * second.state_dict()[name])
    with pytest.raises(ConfigError, match="one configuration"):
        average.mean(first, GPEN(replace(small, style_dim=12)), 0.5)
