"""What GPEN is compared with: built, trained by its recipe, saved, recognised by its shapes, loaded, restoring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Generator, Tensor
from torch.nn import functional as F
from training_runs import loop, make_faces, recipe, silent, weights

from gpen_core import load_model
from gpen_core.architecture import COMPARATORS, PatchDiscriminator, StyleGAN2Prior, config_from_shapes
from gpen_core.architecture.prepared import prepare
from gpen_core.cli.main import main
from gpen_core.config import GPENConfig, ModelCard
from gpen_core.errors import ConfigError
from gpen_core.losses import ADVERSARIAL
from gpen_core.trainer.loop import Limits
from gpen_core.trainer.recipe import Recipe, read_recipe
from gpen_core.trainer.sources import Sources
from gpen_core.trainer.start import embed_prior
from gpen_core.weights import GPEN, checkpoint

SIZE = 32
OPTIONS: dict[str, dict[str, Any]] = {"unet": {}, "pix2pixhd": {"blocks": 2}, "psp": {"n_mlp": 2}}
EVERY = [*OPTIONS.items(), ("pix2pixhd", {"blocks": 1, "local_blocks": 2})]


def model(name: str, options: dict[str, Any], size: int = SIZE) -> GPEN:
    size = 2 * size if options.get("local_blocks") else size
    config = GPENConfig.standard(size, narrow=1 / 64, style_dim=12, prior=name, **options)
    network = GPEN(config, ModelCard(name=name, template="ffhq"), generator=Generator().manual_seed(0))
    source = Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=source))
    return network.eval()


def faces(network: GPEN, count: int = 2) -> Tensor:
    size = network.config.in_size
    return torch.rand(count, 3, size, size, generator=Generator().manual_seed(2)) * 2 - 1


def test_every_comparator_is_tried_here() -> None:
    assert set(OPTIONS) == set(COMPARATORS)


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_a_comparator_is_saved_recognised_and_loaded_as_any_model(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    network, path = model(name, options), tmp_path / "model.safetensors"
    checkpoint.write(path, network.state_dict(), network.config, network.card)
    found = config_from_shapes({n: tuple(t.shape) for n, t in network.state_dict().items()})
    assert found is not None
    assert found.prior == name
    with torch.no_grad():
        wanted = network(faces(network))
        assert wanted.shape == faces(network).shape
        # A face does not depend on its batch-mates.
        torch.testing.assert_close(network(faces(network)[1:]), wanted[1:], rtol=0, atol=1e-4)
    for prepared in (True, False):
        loaded = load_model(path, device="cpu", precision="fp32", prepare=prepared)
        assert loaded.config == network.config
        assert loaded.card.template == "ffhq"
        with torch.no_grad():
            torch.testing.assert_close(loaded(faces(network)), wanted, rtol=0, atol=1e-4)
    folder = network.save_pretrained(tmp_path / "folder")
    assert GPEN.from_pretrained(folder).config == network.config
    assert prepare(network, precision="auto").form == "plain network"


@pytest.mark.parametrize("name", OPTIONS)
def test_a_comparator_restores_an_aligned_face_from_the_shell(name: str, tmp_path: Path) -> None:
    network = model(name, OPTIONS[name])
    checkpoint.write(tmp_path / "m.safetensors", network.state_dict(), network.config, network.card)
    picture = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "face.png")
    out = tmp_path / "out"
    command = [
        "restore",
        str(tmp_path / "face.png"),
        "-o",
        str(out),
        "--aligned",
        "--model",
        str(tmp_path / "m.safetensors"),
    ]
    assert main([*command, "--device", "cpu"]) == 0
    assert len(list(out.rglob("*.png"))) == 1
    assert main(["info", str(tmp_path / "m.safetensors")]) == 0


def tiny(name: str, **changes: Any) -> Recipe:
    """The shipped recipe's losses on a tiny network; what needs weights that do not ship is left out."""
    shipped = read_recipe(f"{name}-256").to_dict()
    losses = {**shipped["losses"], "perceptual": 0.0, "identity": 0.0, **changes}
    if name == "pix2pixhd":
        losses["content"] = 1.0
    network = {"size": SIZE, "prior": name, "n_mlp": 2 if name == "psp" else 8}
    network["options"] = {"blocks": 1} if name == "pix2pixhd" else {}
    return recipe("finetune", network=network, losses=losses, rates=shipped["rates"])


@pytest.mark.parametrize("name", OPTIONS)
def test_a_stopped_run_of_a_comparator_goes_on_to_bit_identical_weights(name: str, tmp_path: Path) -> None:
    folder, made = make_faces(tmp_path / "faces", size=SIZE), tiny(name)
    loop(made, folder, tmp_path / "stopped").run(Limits(images=6), silent)
    resumed, straight = (loop(made, folder, tmp_path / where) for where in ("stopped", "straight"))
    assert resumed.progress.images == 6
    before = weights(straight)
    for run in (resumed, straight):
        run.run(Limits(images=12), silent)
    ours, theirs = weights(resumed), weights(straight)
    assert [n for n in ours if not torch.equal(ours[n], theirs[n])] == []
    # A convolution before an instance norm has a bias that the norm takes away.
    weighed = {n for n in before if n.startswith("generator/") and n.endswith("weight")}
    frozen = {n for n in weighed if n.startswith("generator/generator.decoder.")}
    assert bool(frozen) == (name == "psp")
    assert {n for n in weighed if torch.equal(before[n], theirs[n])} == frozen


def test_psp_begins_with_the_mean_face_of_its_prior(tmp_path: Path) -> None:
    network = model("psp", OPTIONS["psp"])
    inside = network.generator.decoder.config
    prior = StyleGAN2Prior(inside, generator=Generator().manual_seed(7)).eval()
    embed_prior(network, prior.state_dict(), name="prior")
    with torch.no_grad():
        for head in network.generator.heads:
            head.linear.weight.zero_()
            head.linear.bias.zero_()
        mean = prior.mean_latent(generator=Generator().manual_seed(0))
        silence = {r: tuple(torch.zeros(1, 1, r, r) for _ in range(n)) for r, n in prior.feature_inputs.items()}
        wanted = prior.render(mean[:, None].repeat(1, prior.latents, 1), silence)
        torch.testing.assert_close(network(faces(network, 1)), wanted, rtol=0, atol=1e-5)
        assert float(network.generator.latent_norm(faces(network))) == 0
    save_file(prior.state_dict(), tmp_path / "prior.safetensors")
    run = loop(tiny("psp"), make_faces(tmp_path / "f", size=SIZE), tmp_path / "o", sources=Sources())
    run.run(Limits(images=2), silent)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "unet",
            {"latent_norm": 1.0},
            r"the network 'unet' cannot have the norm of its latents measured; set losses.lat",
        ),
        ("pix2pixhd", {"path_length": 1.0}, "the network 'pix2pixhd' cannot have its path length measured"),
    ],
)
def test_what_a_comparator_cannot_do_is_refused_by_name(
    name: str, change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        loop(tiny(name, **change), make_faces(tmp_path / "f", size=SIZE), tmp_path / "o")


def test_a_network_without_a_prior_takes_none() -> None:
    prior = StyleGAN2Prior(GPENConfig.standard(SIZE, narrow=1 / 64, style_dim=12))
    with pytest.raises(ConfigError, match="the network 'unet' cannot take a prior; leave --prior out"):
        embed_prior(model("unet", {}), prior.state_dict(), name="prior")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"losses": {"discriminator": "patches"}}, "patches takes no r1"),
        ({"losses": {"conditional": True}}, "conditional is for a discriminator of patches, and this is stylegan2"),
        ({"network": {"size": 16, "out_size": 32, "prior": "unet"}}, None),
    ],
)
def test_a_comparators_recipe_that_contradicts_itself_is_refused(
    values: dict[str, Any], message: str | None, tmp_path: Path
) -> None:
    if message is None:
        made = Recipe.from_dict({"stage": "finetune", **values})
        with pytest.raises(ConfigError, match="the network 'unet' keeps the size; in_size is 16 and out_size 32"):
            GPEN(made.network.config)
        return
    with pytest.raises(ConfigError, match=message):
        Recipe.from_dict({"stage": "finetune", **values})


def test_a_size_that_pix2pixhd_cannot_halve_is_refused() -> None:
    with pytest.raises(ConfigError, match="in_size is 16; Pix2PixHD of this kind takes 32 px or more"):
        GPEN(GPENConfig.standard(16, narrow=1 / 64, prior="pix2pixhd"))


def test_patches_are_judged_at_two_sizes_beside_what_they_are_of() -> None:
    config = GPENConfig.standard(SIZE, narrow=1 / 64)
    judge = PatchDiscriminator(config, inputs=6, generator=Generator().manual_seed(0))
    seen = judge.features(torch.rand(2, 6, SIZE, SIZE, generator=Generator().manual_seed(1)))
    assert [scores.shape[0] for scores in seen.scores] == [2, 2]
    assert seen.scores[0].shape[1] > seen.scores[1].shape[1] > 1
    assert len(seen.features) == 8


def test_least_squares_scores_are_pulled_to_one_and_zero() -> None:
    game = ADVERSARIAL["least_squares"]
    real, made = (
        [torch.tensor([[1.0, 3.0]]), torch.tensor([[1.0]])],
        [torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0]])],
    )
    assert float(game.discriminator(real, made)) == pytest.approx(((2.0 + 0) / 2 + (2.0 + 1) / 2) / 2)
    assert float(game.generator(made)) == pytest.approx((1.0 + 0) / 2)


def test_without_features_only_the_code_tells(tmp_path: Path) -> None:
    config = GPENConfig.standard(SIZE, narrow=1 / 64, style_dim=12, n_mlp=2, features=False)
    network = GPEN(config, generator=Generator().manual_seed(0)).eval()
    source = Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=source))
        x = faces(network)
        code, _ = network.encode(x)
        silence = {
            r: (torch.zeros(1, config.channels[r], r, r),) * n for r, n in network.generator.feature_inputs.items()
        }
        wanted = network.generator(code, silence)
        torch.testing.assert_close(network(x), wanted, rtol=0, atol=1e-5)
        torch.testing.assert_close(prepare(network, precision="fp32")(x), wanted, rtol=0, atol=1e-4)
    checkpoint.write(tmp_path / "m.safetensors", network.state_dict(), config, network.card)
    assert load_model(tmp_path / "m.safetensors", device="cpu", prepare=False).config == config
    assert "features" not in GPENConfig.standard(SIZE).to_dict()
    assert not F.mse_loss(network(x), network(x)).item()
