"""A prior is one file and one line: each trains in all stages or says what it cannot do, is saved and recognised."""

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from gpen_core.architecture import PRIORS, Discriminator, Prior, build_prior, config_from_shapes
from gpen_core.config import GPENConfig, ModelCard, PriorOptions
from gpen_core.errors import ConfigError
from gpen_core.trainer.loss_recipe import LossRecipe
from gpen_core.trainer.stages import FinetuneStage, PriorStage, Stage
from gpen_core.trainer.start import change_range, embed_prior, grow
from gpen_core.weights import GPEN, checkpoint, load_model


class Batch:
    """What a stage asks of a batch."""

    def __init__(self, damaged: Tensor, clean: Tensor) -> None:
        self.damaged, self.clean = damaged, clean


class Ladder(Prior):
    """No mapping, one feature input a block: a linear start, then double, convolve, add the feature."""

    name = "ladder"
    Options = PriorOptions
    abilities = frozenset(("convert its value range",))

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

    def change_range(self, scale: float, shift: float) -> None:
        with torch.no_grad():
            self.colour.weight.mul_(scale)
            self.colour.bias.mul_(scale).add_(shift)

    @classmethod
    def recognise(cls, shapes: Mapping[str, Any]) -> dict[str, Any] | None:
        if "start.weight" not in shapes or "rungs.0.weight" not in shapes:
            return None
        widths = [shapes["start.weight"][0] // 16]
        while f"rungs.{len(widths) - 1}.weight" in shapes:
            widths.append(shapes[f"rungs.{len(widths) - 1}.weight"][0])
        channels = {4 * 2**level: width for level, width in enumerate(widths)}
        dim = shapes["start.weight"][1]
        return {"out_size": max(channels), "channels": channels, "style_dim": dim, "prior": cls.name}


EVERY = [*PRIORS, Ladder.name]


def config_of(prior: str, size: int = 16) -> GPENConfig:
    return GPENConfig.standard(size, narrow=1 / 64, style_dim=12, prior=prior)


@pytest.fixture(autouse=True)
def one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRIORS, Ladder.name, Ladder)


def shuffled(network: nn.Module) -> nn.Module:
    """Every parameter away from its first value, so that none is a zero that hides another."""
    source = Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=source))
    return network.eval()


def model_of(prior: str, size: int = 16) -> GPEN:
    card = ModelCard(name=prior, template="ffhq")
    return shuffled(GPEN(config_of(prior, size), card, generator=Generator().manual_seed(0)))


def faces(size: int = 16) -> Tensor:
    return torch.rand(2, 3, size, size, generator=Generator().manual_seed(2)) * 2 - 1


def takes_steps(stage: Stage) -> None:
    """Two steps of Adam on the generator's own loss move every parameter, but outputs that are not shown."""
    network = stage.generator.train()
    optimiser = torch.optim.Adam([p for group in stage.groups().values() for p in group], 1e-3)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    for step in range(2):
        fake = stage.pictures(Batch(faces(), faces()), Generator().manual_seed(step))
        sum(
            stage.loss(fake, Batch(faces(), faces()), adversarial=True, matching=True, augment=None).values()
        ).backward()
        optimiser.step()
        optimiser.zero_grad()
    still = [name for name, p in network.named_parameters() if torch.equal(before[name], p)]
    assert all("output0." in name or "output1." in name for name in still)


PLAIN = LossRecipe(path_length=0, mixing=0)


@pytest.mark.parametrize("name", EVERY)
def test_every_prior_trains_alone_and_embedded(name: str) -> None:
    config = config_of(name)
    takes_steps(PriorStage(shuffled(build_prior(config)), Discriminator(config), PLAIN))
    takes_steps(FinetuneStage(model_of(name), Discriminator(config), PLAIN))


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize(
    ("losses", "ability", "key"),
    [
        (LossRecipe(path_length=0), "mix styles", "losses.mixing = 0"),
        (LossRecipe(mixing=0), "have its path length measured", "losses.path_length = 0"),
    ],
)
def test_a_loss_that_a_prior_cannot_serve_is_refused_before_the_first_step(
    name: str, losses: LossRecipe, ability: Any, key: str
) -> None:
    config = config_of(name)
    prior = shuffled(build_prior(config))
    if ability in prior.abilities:
        stage = PriorStage(prior, Discriminator(config), losses)
        assert stage.pictures(Batch(faces(), faces()), Generator()).shape == (2, 3, 16, 16)
        if losses.path_length:
            pictures, latents = stage.traced(Batch(faces(), faces()), Generator())
            assert float(torch.autograd.grad(pictures.sum(), latents)[0].abs().sum()) > 0
        return
    with pytest.raises(ConfigError, match=f"{name!r} cannot {ability}; set {key}"):
        PriorStage(prior, Discriminator(config), losses)


@pytest.mark.parametrize("name", EVERY)
def test_every_prior_draws_embedded_what_it_drew_alone(name: str) -> None:
    prior, network = shuffled(build_prior(config_of(name))), model_of(name)
    embed_prior(network, prior.state_dict(), name="prior")
    source = Generator().manual_seed(3)
    z, noise = prior.draw_codes(faces(), source), prior.draw_noise_like(faces(), source, independent=True)
    with torch.no_grad():
        assert torch.equal(network.generator(z, noise), prior(z, noise))


@pytest.mark.parametrize("name", EVERY)
def test_every_prior_is_saved_recognised_by_its_shapes_and_loaded(name: str, tmp_path: Path) -> None:
    model, path = model_of(name), tmp_path / f"{name}.safetensors"
    checkpoint.write(path, model.state_dict(), model.config, model.card)
    assert config_from_shapes({n: tuple(t.shape) for n, t in model.state_dict().items()}) == model.config
    with torch.no_grad():
        expected = model(faces())
    for prepared in (True, False):
        loaded = load_model(path, device="cpu", precision="fp32", prepare=prepared)
        assert loaded.config == model.config
        assert loaded.card.template == "ffhq"
        with torch.no_grad():
            torch.testing.assert_close(loaded(faces()), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", EVERY)
def test_every_prior_converts_its_range_or_refuses_by_name(name: str) -> None:
    model = model_of(name)
    with torch.no_grad():
        before = model(faces())
        change_range(model, (-1, 1), (-1, 1))
        assert torch.equal(model(faces()), before)
        if "convert its value range" not in model.generator.abilities:
            with pytest.raises(ConfigError, match=f"{name!r} cannot convert its value range"):
                change_range(model, (-1, 1), (0, 1))
            return
        change_range(model, (-1, 1), (0, 1))
        torch.testing.assert_close(model(faces()), (before + 1) / 2, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", EVERY)
def test_every_prior_grows_or_refuses_by_name(name: str) -> None:
    smaller, larger = shuffled(build_prior(config_of(name))), build_prior(config_of(name, 32))
    if "grow" not in larger.abilities:
        with pytest.raises(ConfigError, match=f"{name!r} cannot grow"):
            grow(larger, smaller.state_dict())
        return
    grow(larger, smaller.state_dict())
    source = Generator().manual_seed(3)
    z, noise = larger.draw_codes(faces(), source), larger.draw_noise_like(faces(), source, independent=True)
    with torch.no_grad():
        coarse = F.avg_pool2d(larger(z, noise), 2)
        wanted = smaller(z, {r: noise[r] for r in smaller.resolutions})
    assert float((coarse - wanted).abs().mean()) < 0.2 * float(wanted.std())


def test_an_unknown_prior_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"stylegan9.*stylegan2"):
        config_of("stylegan9")


def test_an_option_of_another_prior_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"'stylegan2' has no field rungs; it has concat"):
        GPENConfig.standard(16, rungs=3)
