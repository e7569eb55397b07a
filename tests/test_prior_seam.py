"""A second prior is one file and one line: embedded, trained, saved, recognised, loaded, nothing else changed."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from gpen_core.architecture import PRIORS, Discriminator, Prior, build_prior, config_from_shapes, embed
from gpen_core.config import GPENConfig, ModelCard
from gpen_core.errors import ConfigError
from gpen_core.trainer.recipe import LossRecipe
from gpen_core.trainer.stages import FinetuneStage
from gpen_core.weights import GPEN, checkpoint, load_model


class Batch:
    """What a stage asks of a batch."""

    def __init__(self, damaged: Tensor, clean: Tensor) -> None:
        self.damaged, self.clean = damaged, clean


class Ladder(Prior):
    """No mapping, one feature input a block: a linear start, then double, convolve, add the feature."""

    name = "ladder"

    def __init__(self, config: GPENConfig, *, generator: Generator | None = None) -> None:
        super().__init__(config, generator=generator)
        widths = [config.channels[r] for r in config.resolutions]
        self.start = nn.Linear(config.style_dim, widths[0] * 16)
        self.rungs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in itertools.pairwise(widths))
        self.colour = nn.Conv2d(widths[-1], 3, 1)

    @property
    def feature_inputs(self) -> Mapping[int, int]:
        return {r: 0 if r == 4 else 1 for r in self.resolutions}

    def forward(self, latent: Tensor, features: Mapping[int, Any]) -> Tensor:
        x = self.start(latent).view(len(latent), -1, 4, 4)
        for resolution, rung in zip(self.resolutions[1:], self.rungs, strict=True):
            x = F.leaky_relu(rung(F.interpolate(x, scale_factor=2.0)) + features[resolution][0], 0.2)
        return self.colour(x)

    @classmethod
    def recognise(cls, shapes: Mapping[str, Any]) -> dict[str, Any] | None:
        if "start.weight" not in shapes or "rungs.0.weight" not in shapes:
            return None
        widths = [shapes["start.weight"][0] // 16]
        while f"rungs.{len(widths) - 1}.weight" in shapes:
            widths.append(shapes[f"rungs.{len(widths) - 1}.weight"][0])
        channels = {4 * 2**level: width for level, width in enumerate(widths)}
        dim = shapes["start.weight"][1]
        return {"out_size": max(channels), "channels": channels, "style_dim": dim, "n_mlp": 0, "prior": cls.name}


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> GPENConfig:
    monkeypatch.setitem(PRIORS, Ladder.name, Ladder)
    return GPENConfig(in_size=16, out_size=16, channels={4: 6, 8: 5, 16: 4}, style_dim=8, n_mlp=0, prior="ladder")


def test_another_prior_goes_all_the_way(config: GPENConfig, tmp_path: Path) -> None:
    prior = build_prior(config)
    model = GPEN(config, ModelCard(name="ladder", template="ffhq"), generator=Generator().manual_seed(0))
    embedded = embed(prior.state_dict())
    missing, unexpected = model.load_state_dict(embedded, strict=False)
    assert not unexpected
    assert {name.split(".")[0] for name in missing} == {"ecd0", "ecd1", "ecd2", "final_linear"}

    losses = LossRecipe(path_length=0)
    stage = FinetuneStage(model, Discriminator(config), losses)
    optimiser = torch.optim.Adam([p for group in stage.groups().values() for p in group], 1e-3)
    batch = Batch(torch.rand(2, 3, 16, 16) * 2 - 1, torch.rand(2, 3, 16, 16) * 2 - 1)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    for _ in range(2):
        optimiser.zero_grad()
        fake = stage.pictures(batch, Generator())
        sum(stage.loss(fake, batch, adversarial=True, matching=True, augment=None).values()).backward()
        optimiser.step()
    assert all(not torch.equal(before[name], p) for name, p in model.named_parameters())

    path = tmp_path / "ladder.safetensors"
    checkpoint.write(path, model.state_dict(), model.config, model.card)
    assert config_from_shapes({name: tuple(t.shape) for name, t in model.state_dict().items()}) == config
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    with torch.no_grad():
        expected = model(x)
    for prepared in (True, False):
        loaded = load_model(path, device="cpu", precision="fp32", prepare=prepared)
        assert loaded.config == config
        assert loaded.card.template == "ffhq"
        with torch.no_grad():
            torch.testing.assert_close(loaded(x), expected, rtol=0, atol=1e-4)


def test_an_unknown_prior_is_refused_by_name(config: GPENConfig) -> None:
    with pytest.raises(ConfigError, match=r"stylegan9.*stylegan2"):
        build_prior(replace(config, prior="stylegan9"))
