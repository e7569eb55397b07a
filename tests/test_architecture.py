"""The networks against the reference's golden numbers, and the promises of their docstrings."""

from pathlib import Path

import pytest
import torch
from golden_cases import cases, load

from gpen_core import GPEN
from gpen_core.architecture import (
    Discriminator,
    StyleGAN2Prior,
    config_from_shapes,
    embed,
    expected_shapes,
)
from gpen_core.config import GPENConfig, ModelCard
from gpen_core.errors import InputError

OFFICIAL = [
    ("GPEN-BFR-256", 256, 1, 0.5, 18_879_010),
    ("GPEN-BFR-512 and GPEN-Seg2face-512", 512, 2, 1.0, 71_005_223),
    ("GPEN-BFR-1024, GPEN-Colorization-1024 and GPEN-Inpainting-1024", 1024, 2, 1.0, 71_210_540),
    ("GPEN-BFR-2048", 2048, 2, 1.0, 71_294_769),
]
SMALL = GPENConfig.standard(16, narrow=1 / 64, style_dim=16, n_mlp=2)


def small(config: GPENConfig = SMALL, seed: int = 0, card: ModelCard | None = None) -> GPEN:
    """A network whose features matter: feature weights start at zero."""
    model = GPEN(config, card, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("noise.weight"):
                parameter.fill_(0.5)
    return model.eval()


def faces(count: int, size: int = 16, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("case", cases("restorer"), ids=lambda c: c.name)
def test_the_restorer_gives_the_reference_output(case: Path) -> None:
    config, weights, io = load(case)
    model = GPEN(config)
    model.load_state_dict(weights)
    with torch.no_grad():
        torch.testing.assert_close(model(io["input"]), io["output"], rtol=0, atol=1e-4)
        latent = model.generator.mapping(model.encode(io["input"])[0])
    torch.testing.assert_close(latent, io["latent"][:, 0], rtol=0, atol=1e-4)


@pytest.mark.parametrize("case", cases("prior"), ids=lambda c: c.name)
def test_the_prior_gives_the_reference_pictures(case: Path) -> None:
    config, weights, io = load(case)
    prior = StyleGAN2Prior(config)
    prior.load_state_dict(weights)
    flat = iter(io[f"noise.{i}"] for i in range(2 * len(config.resolutions) - 1))
    noise = {r: tuple(next(flat) for _ in range(prior.feature_inputs[r])) for r in config.resolutions}
    with torch.no_grad():
        plain = prior.sample(io["z1"], noise=noise)
        mixed = prior.sample(io["z1"], z2=io["z2"], mix_at=3, noise=noise)
        near_mean = prior.sample(io["z1"], truncation=0.6, mean_latent=io["mean_latent"], noise=noise)
    torch.testing.assert_close(plain, io["output"], rtol=0, atol=1e-4)
    torch.testing.assert_close(mixed, io["output_mixed_at_3"], rtol=0, atol=1e-4)
    torch.testing.assert_close(near_mean, io["output_truncated_0.6"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("case", cases("discriminator"), ids=lambda c: c.name)
def test_the_discriminator_gives_the_reference_scores(case: Path) -> None:
    config, weights, io = load(case)
    discriminator = Discriminator(config)
    discriminator.load_state_dict(weights)
    with torch.no_grad():
        torch.testing.assert_close(discriminator(io["real"]), io["real_score"], rtol=0, atol=1e-4)
        torch.testing.assert_close(discriminator(io["fake"]), io["fake_score"], rtol=0, atol=1e-4)


@pytest.mark.parametrize(("name", "size", "multiplier", "narrow", "count"), OFFICIAL, ids=[row[0] for row in OFFICIAL])
def test_official_configurations_have_the_official_parameter_count(
    name: str, size: int, multiplier: float, narrow: float, count: int
) -> None:
    config = GPENConfig.standard(size, channel_multiplier=multiplier, narrow=narrow)
    with torch.device("meta"):
        model = GPEN(config)
    assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize("case", cases("restorer"), ids=lambda c: c.name)
def test_the_configuration_is_read_from_the_shapes(case: Path) -> None:
    config, weights, _ = load(case)
    shapes = {name: tuple(t.shape) for name, t in weights.items()}
    assert config_from_shapes(shapes) == config
    assert expected_shapes(config) == shapes


def test_any_channel_table_survives_the_way_through_shapes() -> None:
    config = GPENConfig(
        in_size=16, out_size=32, channels={4: 7, 8: 5, 16: 3, 32: 2}, style_dim=6, n_mlp=0, concat=False
    )
    assert config_from_shapes(expected_shapes(config)) == config


def test_the_shapes_of_a_discriminator_are_no_gpen() -> None:
    shapes = {name: tuple(t.shape) for name, t in Discriminator(SMALL).state_dict().items()}
    assert config_from_shapes(shapes) is None


def test_the_same_seed_gives_the_same_network() -> None:
    one, same, other = small(seed=3), small(seed=3), small(seed=4)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    assert not torch.equal(one.ecd0[0][0].weight, other.ecd0[0][0].weight)


def test_a_fresh_network_keeps_the_variance_of_its_activations() -> None:
    model = small(GPENConfig.standard(32, narrow=1 / 8, style_dim=64))
    _, features = model.encode(torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    for resolution, feature in features.items():
        assert 0.3 < feature.std().item() < 3, f"the feature at {resolution} has deviation {feature.std().item():.2f}"


@pytest.mark.parametrize("out_size", [16, 64])
def test_a_face_does_not_depend_on_its_batch_mates_or_its_place(out_size: int) -> None:
    model = small(GPENConfig.standard(16, out_size=out_size, narrow=1 / 64, style_dim=16, n_mlp=2)).double()
    x = faces(3).double()
    with torch.no_grad():
        together, alone, turned = model(x), model(x[1:2]), model(x.flip(0))
    torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-9)
    torch.testing.assert_close(together.flip(0), turned, rtol=0, atol=1e-9)


def test_levels_above_the_input_take_the_noise_of_the_cards_seed() -> None:
    config = GPENConfig.standard(16, out_size=32, narrow=1 / 64, style_dim=16, n_mlp=2)
    one, same, other = (small(config, card=ModelCard(noise_seed=seed)) for seed in (1, 1, 2))
    x = faces(1)
    with torch.no_grad():
        assert torch.equal(one(x), one(x))
        assert torch.equal(one(x), same(x))
        assert not torch.allclose(one(x), other(x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_any_float_input_gives_float32(dtype: torch.dtype) -> None:
    with torch.no_grad():
        assert small()(faces(1).to(dtype)).dtype == torch.float32


def test_an_embedded_prior_keeps_its_names_and_its_picture() -> None:
    model, prior = small(), StyleGAN2Prior(SMALL, generator=torch.Generator().manual_seed(9))
    missing, unexpected = model.load_state_dict(embed(prior.state_dict()), strict=False)
    assert not unexpected
    assert all(name.startswith(("ecd", "final_linear")) for name in missing)
    noise = prior.draw_noise(2, generator=torch.Generator().manual_seed(0))
    z = torch.randn(2, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(model.generator(z, noise), prior(z, noise))


def test_noise_of_a_block_is_shared_or_independent() -> None:
    prior = StyleGAN2Prior(SMALL)
    shared = prior.draw_noise(2, generator=torch.Generator().manual_seed(0))
    own = prior.draw_noise(2, generator=torch.Generator().manual_seed(0), independent=True)
    assert [len(shared[r]) for r in SMALL.resolutions] == [1, 2, 2]
    assert torch.equal(*shared[8])
    assert not torch.equal(*own[8])


def test_mixing_changes_only_what_comes_from_the_second_code_on() -> None:
    prior = StyleGAN2Prior(SMALL, generator=torch.Generator().manual_seed(0))
    z, z2 = torch.randn(2, 2, 16, generator=torch.Generator().manual_seed(1))
    noise = prior.draw_noise(2, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        same = prior.sample(z, z2=z, mix_at=2, noise=noise)
        mixed = prior.sample(z, z2=z2, mix_at=2, noise=noise)
        plain = prior.sample(z, noise=noise)
    assert torch.equal(same, plain)
    assert not torch.equal(mixed, plain)


def test_full_truncation_gives_the_mean_face() -> None:
    prior = StyleGAN2Prior(SMALL, generator=torch.Generator().manual_seed(0))
    mean = prior.mean_latent(64, generator=torch.Generator().manual_seed(1))
    noise = prior.draw_noise(1, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        pictures = prior.sample(torch.randn(3, 16), truncation=0.0, mean_latent=mean, noise=noise)
    torch.testing.assert_close(pictures, pictures[:1].expand_as(pictures))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"z2": torch.zeros(1, 16)}, "mix_at"),
        ({"z2": torch.zeros(1, 16), "mix_at": 6}, "between 1 and 5"),
        ({"truncation": 0.5}, "mean_latent"),
    ],
)
def test_half_a_request_to_sample_is_refused(arguments: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        StyleGAN2Prior(SMALL).sample(torch.zeros(1, 16), **arguments)


def test_the_discriminator_shows_the_feature_of_every_block() -> None:
    discriminator = Discriminator(SMALL)
    judgement = discriminator.features(faces(4))
    assert judgement.scores.shape == (4, 1)
    assert [tuple(f.shape[-2:]) for f in judgement.features] == [(16, 16), (8, 8), (4, 4)]


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.zeros(3, 16, 16), r"\(3, 16, 16\)"),
        (torch.zeros(1, 4, 16, 16), r"\(1, 4, 16, 16\)"),
        (torch.zeros(1, 3, 16, 32), "32×16 pixels"),
        (torch.zeros(0, 3, 16, 16), "no faces"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), "uint8"),
        (torch.zeros(1, 3, 16, 16, device="meta"), "meta"),
        ([[0.0]], "list"),
    ],
)
def test_a_wrong_input_is_refused_in_one_line(tensor: torch.Tensor, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        small()(tensor)
    assert "\n" not in str(caught.value)
