"""A network with more channels than before, and the same pictures."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from gpen_core import GPEN, GPENConfig, ModelCard
from gpen_core.errors import ConfigError
from gpen_core.trainer import read_recipe
from gpen_core.weights import checkpoint

FOLDER = Path(__file__).parent.parent / "training" / "open_model"
_spec = importlib.util.spec_from_file_location("widen", FOLDER / "widen.py")
assert _spec is not None
assert _spec.loader is not None
widen = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(widen)


def small() -> GPEN:
    config = GPENConfig(in_size=16, out_size=16, channels={4: 6, 8: 5, 16: 4}, style_dim=8, n_mlp=2)
    model = GPEN(config, generator=torch.Generator().manual_seed(1))
    source = torch.Generator().manual_seed(2)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=source)
    return model


def test_a_wider_network_makes_the_same_pictures_and_its_new_channels_learn():
    model = small()
    wider = widen.widened(model.state_dict(), model.config, {8: 8, 16: 7})
    faces = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(3)) * 2 - 1
    torch.testing.assert_close(wider(faces), model(faces), rtol=1e-4, atol=1e-5)
    wider(faces).square().mean().backward()
    added = wider.get_parameter("generator.to_rgbs.1.conv.weight").grad
    assert added is not None
    assert bool((added[0, :, 4:7].abs().sum() > 0).item())


def test_the_command_writes_the_wider_network_beside_the_card(tmp_path, monkeypatch):
    model = small()
    card = ModelCard(name="small", licence="Apache-2.0")
    checkpoint.write(tmp_path / "small.safetensors", model.state_dict(), model.config, card)
    line = ["widen.py", str(tmp_path / "small.safetensors"), str(tmp_path / "wide.safetensors"), "8=8", "16=7"]
    monkeypatch.setattr("sys.argv", line)
    widen.main()
    wide = checkpoint.read(tmp_path / "wide.safetensors")
    assert (wide.config.channels[8], wide.config.channels[16], wide.card.name) == (8, 7, "small")
    faces = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3)) * 2 - 1
    torch.testing.assert_close(wide(faces), model(faces), rtol=1e-4, atol=1e-5)


def test_a_narrower_table_is_refused():
    model = small()
    with pytest.raises(ConfigError, match="do not widen"):
        widen.widened(model.state_dict(), model.config, {16: 2})


@pytest.mark.parametrize("name", ["projected-256", "perceptual-256"])
def test_the_recipe_is_of_the_widened_networks_shape(name):
    channels = read_recipe(FOLDER / f"{name}.toml").network.config.channels
    assert (channels[64], channels[128], channels[256]) == (96, 48, 24)
