"""Where a run begins: a prior embedded, an add-noise prior, a smaller network grown, shipped halves continued."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from training_runs import loop, make_faces, recipe, silent, weights

from gpen_core import GPEN
from gpen_core.architecture import Discriminator, StyleGAN2Prior
from gpen_core.cli.main import main
from gpen_core.config import GPENConfig
from gpen_core.errors import ConfigError, TrainingError
from gpen_core.trainer.augment import Augmentation
from gpen_core.trainer.loop import Limits
from gpen_core.trainer.run import Places
from gpen_core.trainer.sources import Sources
from gpen_core.trainer.start import embed_prior, grow
from gpen_core.weights.checkpoint import read

SMALL = GPENConfig.standard(16, narrow=0.02, style_dim=12, n_mlp=2)


def seeded(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def shuffled(network: torch.nn.Module, number: int) -> torch.nn.Module:
    """Every parameter away from its initial value: no bias, no noise weight is zero."""
    source = seeded(number)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=source))
    return network


def test_every_tensor_of_a_prior_arrives_in_the_decoder():
    prior = shuffled(StyleGAN2Prior(SMALL, generator=seeded()), 1)
    network = GPEN(SMALL, generator=seeded(2))
    embed_prior(network, prior.state_dict(), name="prior")
    inside = network.state_dict()
    assert all(torch.equal(inside[f"generator.{name}"], tensor) for name, tensor in prior.state_dict().items())


def test_an_embedded_prior_draws_what_it_drew_alone():
    prior = shuffled(StyleGAN2Prior(SMALL, generator=seeded()), 1)
    network = GPEN(SMALL, generator=seeded(2))
    embed_prior(network, prior.state_dict(), name="prior")
    z, noise = torch.randn(2, 12, generator=seeded(3)), prior.draw_noise(2, generator=seeded(4))
    with torch.no_grad():
        assert torch.equal(network.generator(z, noise), prior.sample(z, noise=noise))


def test_a_stock_stylegan2_gives_the_same_pictures_in_a_concatenating_decoder():
    stock_config = GPENConfig.standard(16, narrow=0.02, style_dim=12, n_mlp=2, concat=False)
    stock = shuffled(StyleGAN2Prior(stock_config, generator=seeded()), 1)
    state = {**stock.state_dict(), "noises.noise_0": torch.zeros(1, 1, 4, 4)}
    network = GPEN(SMALL, generator=seeded(2))
    embed_prior(network, state, name="stock")
    z = torch.randn(2, 12, generator=seeded(3))
    silence = {r: tuple(torch.zeros_like(n) for n in f) for r, f in stock.draw_noise(2, generator=seeded()).items()}
    anything = network.generator.draw_noise(2, generator=seeded(5))
    with torch.no_grad():
        expected = stock.sample(z, noise=silence)
        assert torch.allclose(network.generator(z, silence), expected, atol=1e-5)
        # The new columns are zero: whatever the features are, they do not show yet.
        assert torch.allclose(network.generator(z, anything), expected, atol=1e-5)


def test_gradients_reach_the_new_columns_of_a_stock_prior():
    stock = StyleGAN2Prior(
        GPENConfig.standard(16, narrow=0.02, style_dim=12, n_mlp=2, concat=False), generator=seeded()
    )
    decoder = StyleGAN2Prior(SMALL)
    decoder.load_state_dict(decoder.adapted(stock.state_dict()))
    decoder.sample(torch.randn(1, 12, generator=seeded(1)), generator=seeded(2)).square().mean().backward()
    gradient = decoder.convs[0].conv.weight.grad
    assert gradient is not None
    assert float(gradient[:, :, SMALL.channels[4] :].abs().max()) > 0


def test_a_prior_of_another_shape_is_refused_with_the_tensors_named():
    other = StyleGAN2Prior(GPENConfig.standard(16, narrow=0.02, style_dim=8, n_mlp=2))
    with pytest.raises(TrainingError, match=r"other.safetensors does not fit.*other shape: .*modulation"):
        embed_prior(GPEN(SMALL), other.state_dict(), name="other.safetensors")


@pytest.mark.parametrize("kind", [GPEN, StyleGAN2Prior])
def test_a_grown_network_begins_with_the_smaller_ones_picture(kind):
    small = shuffled(kind(SMALL, generator=seeded()), 1)
    config = GPENConfig.standard(32, narrow=0.02, style_dim=12, n_mlp=2)
    large = kind(config, generator=seeded(2))
    grow(large, small.state_dict())
    prior_small, prior_large = (n.generator if isinstance(n, GPEN) else n for n in (small, large))
    z, noise = torch.randn(1, 12, generator=seeded(3)), prior_large.draw_noise(1, generator=seeded(4))
    with torch.no_grad():
        coarse = prior_small.sample(z, noise={r: f for r, f in noise.items() if r <= 16})
        fine = prior_large.sample(z, noise=noise)
        assert torch.allclose(fine, prior_large.to_rgbs[-1].upsample(coarse), atol=1e-5)


def test_a_grown_encoder_and_discriminator_keep_their_deeper_blocks():
    config = GPENConfig.standard(32, narrow=0.02, style_dim=12, n_mlp=2)
    small, large = GPEN(SMALL, generator=seeded()), GPEN(config, generator=seeded(1))
    grow(large, small.state_dict())
    assert torch.equal(large.get_parameter("ecd2.0.1.weight"), small.get_parameter("ecd1.0.1.weight"))
    judge, larger = Discriminator(SMALL, generator=seeded()), Discriminator(config, generator=seeded(1))
    before = larger.get_parameter("convs.1.conv1.0.weight").clone()
    grow(larger, judge.state_dict())
    assert torch.equal(larger.get_parameter("convs.2.conv1.0.weight"), judge.get_parameter("convs.1.conv1.0.weight"))
    assert torch.equal(larger.get_parameter("convs.1.conv1.0.weight"), before)


def test_augmentation_of_strength_zero_changes_nothing_and_more_changes_more():
    pictures = torch.rand(8, 3, 16, 16, generator=seeded()) * 2 - 1
    augment = Augmentation()
    assert augment(pictures, 0.0, seeded(1)) is pictures
    moved = [(augment(pictures, s, seeded(1)) - pictures).abs().flatten(1).amax(1) > 1e-3 for s in (0.05, 0.9)]
    assert int(moved[0].sum()) < int(moved[1].sum()) == 8
    assert torch.equal(augment(pictures, 0.5, seeded(2)), augment(pictures, 0.5, seeded(2)))


def test_augmentation_lets_the_gradient_through():
    pictures = torch.rand(4, 3, 16, 16, generator=seeded()).requires_grad_(True)
    Augmentation()(pictures, 1.0, seeded(1)).sum().backward()
    assert pictures.grad is not None
    assert float(pictures.grad.abs().sum()) > 0


CHANGES = """
network.size=16 network.narrow=0.02 network.style_dim=12 network.n_mlp=2 data.batch=2 data.workers=0
run.validation_pictures=2 run.log_every=1 run.precision=fp32
"""
TINY = ["--device", "cpu", *(word for change in CHANGES.split() for word in ("--set", change))]


def train(name: str, faces: Path, out: Path, *more: str) -> int:
    return main(["train", name, "--data", str(faces), "--out", str(out), *TINY, *more])


def test_three_stages_from_the_command_line_to_a_restorer_that_goes_on_from_its_halves(tmp_path, capsys):
    faces = make_faces(tmp_path / "faces")
    assert train("prior-256", faces, tmp_path / "prior", "--max-images", "4") == 0
    prior, judge = (str(tmp_path / "prior" / f"{n}.safetensors") for n in ("prior", "discriminator"))
    assert train("embed-256", faces, tmp_path / "embedded", "--prior", prior) == 0
    embedded = read(tmp_path / "embedded" / "model.safetensors")
    assert embedded.card.details["images_seen"] == {"prior": 4}
    out = tmp_path / "tuned"
    started = ["--prior", prior, "--discriminator", judge]
    assert train("finetune-256", faces, out, *started, "--max-images", "4", "--half") == 0
    assert "psnr" in capsys.readouterr().out
    model = read(out / "model.safetensors")
    assert model.card.template == "ffhq"
    assert model.card.details["images_seen"] == {"prior": 4, "finetune": 4}
    assert model.card.details["recipe"]["losses"]["feature_reduction"] == "sum"
    assert {"README.md", "grid.png", "curves.png", "log.jsonl"} <= {p.name for p in out.iterdir()}
    with Image.open(out / "grid.png") as grid:
        assert grid.size == (32, 48)
    assert "![Given, made, original](grid.png)" in (out / "README.md").read_text()
    assert "![Samples](grid.png)" in (tmp_path / "prior" / "README.md").read_text()
    more = ["--generator", str(out / "model.safetensors"), "--discriminator", str(out / "discriminator.safetensors")]
    more += ["--set", "run.validation_pictures=0"]
    assert train("finetune-256", faces, tmp_path / "more", *more, "--max-images", "8") == 0
    assert "grid.png" not in (tmp_path / "more" / "README.md").read_text()
    lines = [json.loads(line) for line in (tmp_path / "more" / "log.jsonl").read_text().splitlines()]
    assert [line["images"] for line in lines] == [6, 8]
    assert read(tmp_path / "more" / "model.safetensors").card.details["images_seen"] == {"prior": 4, "finetune": 8}


def test_the_same_command_again_goes_on_and_fresh_begins_again(tmp_path):
    faces, out = make_faces(tmp_path / "faces"), tmp_path / "out"
    for more in (["--max-images", "2"], ["--max-images", "6"]):
        assert train("prior-256", faces, out, *more) == 0
    steps = [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3]
    assert train("prior-256", faces, out, "--max-images", "2", "--fresh") == 0
    assert len((out / "log.jsonl").read_text().splitlines()) == 1


def test_what_cannot_begin_anew_throws_nothing_away(tmp_path, capsys):
    faces, out = make_faces(tmp_path / "faces"), tmp_path / "out"
    assert train("prior-256", faces, out, "--max-images", "2") == 0
    files = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    prior, missing = str(out / "prior.safetensors"), str(tmp_path / "missing.safetensors")
    for more, said in (
        (["--generator", missing], f"there is no file {missing}; --generator names"),
        (["--prior", prior], "--prior embeds a prior in a GPEN"),
        (["--generator", prior, "--set", "network.style_dim=8"], "style_dim 12 there and 8 here"),
    ):
        capsys.readouterr()
        assert train("prior-256", faces, out, "--max-images", "4", "--fresh", *more) == 1
        assert said in capsys.readouterr().err
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == files
    assert train("prior-256", faces, out, "--max-images", "4", "--generator", missing) == 0, "it has what that gave"


def test_a_prior_and_a_model_in_each_others_place_are_named(tmp_path, capsys):
    faces = make_faces(tmp_path / "faces")
    assert train("prior-256", faces, tmp_path / "a", "--max-images", "2") == 0
    prior = str(tmp_path / "a" / "prior.safetensors")
    assert train("embed-256", faces, tmp_path / "b", "--prior", prior) == 0
    model = str(tmp_path / "b" / "model.safetensors")
    for flag, given, said in (("--prior", model, "name it with --generator"), ("--generator", prior, "with --prior")):
        assert train("finetune-256", faces, tmp_path / "c", "--max-images", "2", flag, given) == 1
        assert said in capsys.readouterr().err
    assert train("prior-256", faces, faces / "run") == 1
    assert "its grids would be faces to learn" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert train("finetune-256", faces, tmp_path / "file") == 1
    assert "is a file; a run is written into a folder" in capsys.readouterr().err


def test_max_minutes_ends_a_run_with_everything_written(tmp_path):
    assert train("finetune-256", make_faces(tmp_path / "faces"), tmp_path / "out", "--max-minutes", "0.0001") == 0
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_a_generator_of_another_configuration_is_refused_with_both_named(tmp_path):
    run = loop(recipe(), make_faces(tmp_path / "faces"), tmp_path / "out")
    other = GPEN(GPENConfig.standard(16, narrow=0.02, style_dim=8, n_mlp=2))
    from gpen_core.weights.checkpoint import write

    write(tmp_path / "other.safetensors", other.state_dict(), other.config, other.card)
    with pytest.raises(ConfigError, match="style_dim 8 there and 12 here"):
        loop(
            run.recipe,
            tmp_path / "faces",
            tmp_path / "again",
            sources=Sources(generator=tmp_path / "other.safetensors"),
        )


def test_a_bare_prior_without_a_header_is_taken_by_its_shapes(tmp_path):
    prior = StyleGAN2Prior(SMALL, generator=seeded(9))
    save_file(prior.state_dict(), tmp_path / "bare.safetensors")
    run = loop(
        recipe(), make_faces(tmp_path / "f"), tmp_path / "out", sources=Sources(prior=tmp_path / "bare.safetensors")
    )
    assert torch.equal(weights(run)["generator/generator.input.input"], prior.input.input)
    run.run(Limits(images=2), silent)


def test_an_identity_loss_without_its_network_is_refused(tmp_path, capsys):
    faces = make_faces(tmp_path / "faces")
    assert train("finetune-256", faces, tmp_path / "out", "--set", "losses.identity=1") != 0
    assert "--identity" in capsys.readouterr().err


def test_a_run_from_what_ships_is_told_what_it_lacks_and_refuses_to_end_before_its_first_step(tmp_path, capsys):
    faces, out = make_faces(tmp_path / "faces", size=256), tmp_path / "out"
    command = ["train", "personal-256", "--data", str(faces), "--out", str(out), "--device", "cpu"]
    command += ["--generator", "gpen-open-256", "--max-images", "2"]
    assert main(command) == 1
    said = capsys.readouterr().err
    channels = re.search(r"--set '(network\.channels=\{.*\})' takes those there", said)
    assert channels is not None
    command += ["--set", channels[1]]
    assert main(command) == 1
    assert "set run.max_images to more than both" in capsys.readouterr().err
    assert main([*command, "--set", "run.max_images=1000000"]) == 1
    assert "is to end at 2 in all; set that to" in capsys.readouterr().err
    assert not (out / "model.safetensors").exists()


def test_places_and_sources_take_text(tmp_path):
    places = Places(data="s3://bucket/faces", out=str(tmp_path), validation="val")
    assert (places.data, places.out, places.validation) == ("s3://bucket/faces", tmp_path, Path("val"))
    assert Sources(prior="a.pth").prior == Path("a.pth")
