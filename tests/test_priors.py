"""Generators as people have them: read, drawn from, embedded with their own pictures, or refused in a line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from golden_cases import ROOTS
from safetensors.torch import load_file, save_file
from torch import Generator, Tensor

from gpen_core import load_prior
from gpen_core.architecture import PRIORS, Prior, build_prior
from gpen_core.architecture.prepared import prepare, trial
from gpen_core.architecture.strips import Workspace
from gpen_core.cli.main import main
from gpen_core.config import GPENConfig
from gpen_core.errors import ConfigError, InputError, TrainingError, WeightsError
from gpen_core.trainer.start import embed_prior
from gpen_core.weights import GPEN


def golden() -> list[Path]:
    found = {p.parent.name: p.parent for root in ROOTS for p in sorted(root.glob("prior_*/config.json"))}
    return [case for case in found.values() if "source" in json.loads((case / "config.json").read_text())]


CASES = golden()


def read_case(case: Path) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Tensor]]:
    values = json.loads((case / "config.json").read_text())
    return values, load_file(case / "weights.safetensors"), load_file(case / "io.safetensors")


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_a_stock_generator_draws_what_its_own_code_draws(case: Path) -> None:
    values, _, io = read_case(case)
    prior = load_prior(case / "weights.safetensors", device="cpu")
    assert prior.name == values["prior"]
    close(prior.sample(io["z"], classes=values.get("class")), io["output"])
    for name in io:
        if name.startswith("output_truncated"):
            share, layers = float(name.split("_")[2]), int(name.split("_")[4])
            close(prior.sample(io["z"], truncation=share, truncated_layers=layers), io[name])
    if "w" in io:
        close(prior.style_latents(io["z"])[:, 0], io["w"])


@pytest.mark.parametrize("concat", [True, False])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_an_embedded_stock_generator_begins_with_its_own_pictures_whatever_the_features(
    case: Path, concat: bool
) -> None:
    _, weights, io = read_case(case)
    stock = load_prior(case / "weights.safetensors", device="cpu")
    network = GPEN(stock.config.with_options(concat=concat)).eval()
    embed_prior(network, weights, name="stock")
    features = network.generator.draw_noise(2, generator=Generator().manual_seed(0))
    if not concat and stock.stored_noise is not None:
        features = dict(stock.stored_noise)
    elif not concat:
        # Added features come in by a weight that is zero at first, and has a gradient.
        assert {float(p.detach()) for n, p in network.generator.named_parameters() if "feature" in n} == {0.0}
    with torch.no_grad():
        wanted = stock(io["z"], stock.noise_for(io["z"], None, Generator().manual_seed(0)))
        close(network.generator(io["z"], features), wanted)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_the_columns_that_features_enter_by_have_a_gradient(case: Path) -> None:
    _, weights, io = read_case(case)
    stock = load_prior(case / "weights.safetensors", device="cpu")
    for concat in (True, False):
        network = GPEN(stock.config.with_options(concat=concat))
        embed_prior(network, weights, name="stock")
        network.generator(io["z"], network.generator.draw_noise(2)).square().mean().backward()
        for name, parameter in network.generator.named_parameters():
            if not concat and "feature" in name:
                assert parameter.grad is not None
                assert float(parameter.grad.abs().max()) > 0
            if concat and parameter.ndim == 4 and parameter.grad is not None and parameter.shape[1] % 2 == 0:
                half = parameter.shape[1] // 2
                if not bool(parameter[:, half:].any()):
                    assert float(parameter.grad[:, half:].abs().max()) > 0, name


def small(prior: str, **options: Any) -> Prior:
    config = GPENConfig.standard(16, narrow=1 / 64, style_dim=12, prior=prior, **{"concat": False, **options})
    return build_prior(config, generator=Generator().manual_seed(0)).eval()


@pytest.mark.parametrize("wrapper", ["g_ema", "generator_smooth", "state_dict", None])
@pytest.mark.parametrize("prior", PRIORS)
def test_a_pth_of_any_of_the_usual_wrappings_is_read(prior: str, wrapper: str | None, tmp_path: Path) -> None:
    made = small(prior)
    state = dict(made.state_dict())
    torch.save(state if wrapper is None else {wrapper: state, "iteration": 3}, tmp_path / "file.pth")
    loaded = load_prior(tmp_path / "file.pth", device="cpu")
    assert (loaded.config, loaded.training) == (made.config, False)
    z = torch.randn(2, 12, generator=Generator().manual_seed(1))
    noise = made.draw_noise(2, generator=Generator().manual_seed(2))
    with torch.no_grad():
        assert torch.equal(loaded.sample(z, noise=noise), made.sample(z, noise=noise))


def test_a_stock_stylegan2_draws_with_the_noise_that_it_keeps(tmp_path: Path) -> None:
    made = small("stylegan2")
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith("noise.weight"):
                parameter.fill_(0.3)
    source = Generator().manual_seed(5)
    kept = {
        r: tuple(torch.randn(1, 1, r, r, generator=source) for _ in range(n)) for r, n in made.feature_inputs.items()
    }
    planes = [plane for group in kept.values() for plane in group]
    stored = {f"noises.noise_{i}": plane for i, plane in enumerate(planes)}
    save_file({**made.state_dict(), **stored}, tmp_path / "stock.safetensors")
    loaded = load_prior(tmp_path / "stock.safetensors", device="cpu")
    z = torch.randn(2, 12, generator=Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(loaded.sample(z), made.sample(z, noise=kept))
        near, all_the_way = (loaded.sample(z, truncation=t) for t in (0.5, 0.0))
        assert not torch.equal(near[0], near[1])
        assert torch.allclose(all_the_way[0], all_the_way[1], atol=1e-6)
        assert torch.equal(loaded.sample(z, truncation=0.5, truncated_layers=0), loaded.sample(z))


def test_a_prior_of_several_classes_draws_each(tmp_path: Path) -> None:
    made = small("biggan", classes=3)
    save_file(made.state_dict(), tmp_path / "classes.safetensors")
    loaded = load_prior(tmp_path / "classes.safetensors", device="cpu")
    z = torch.randn(1, 12, generator=Generator().manual_seed(1)).expand(2, -1)
    pictures = loaded.sample(z, classes=[0, 2])
    assert not torch.allclose(pictures[0], pictures[1])
    with pytest.raises(InputError, match=r"classes are \[0, 3\]; give 2 numbers from 0 to 2"):
        loaded.sample(z, classes=[0, 3])


def trained_like(network: GPEN) -> GPEN:
    """Nothing at zero, statistics as after training, pictures about as strong as a face's."""
    source = Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=source))
        for name, buffer in network.named_buffers():
            if "stored" in name:
                buffer.add_(0.3 * torch.rand(buffer.shape, generator=source))
    return network.eval()


@pytest.mark.parametrize("concat", [True, False])
@pytest.mark.parametrize("sizes", [(32, 32), (16, 64)])
@pytest.mark.parametrize("prior", PRIORS)
def test_the_inference_form_of_every_prior_equals_the_plain_one(
    prior: str, sizes: tuple[int, int], concat: bool
) -> None:
    options: dict[str, Any] = {"attention": (16,), "classes": 2} if prior == "biggan" else {}
    config = GPENConfig.standard(
        sizes[0], out_size=sizes[1], narrow=1 / 16, style_dim=20, prior=prior, concat=concat, **options
    )
    network = trained_like(GPEN(config, generator=Generator().manual_seed(0)))
    faces = torch.rand(3, 3, sizes[0], sizes[0], generator=Generator().manual_seed(1)) * 2 - 1
    fast = prepare(network, precision="fp32")
    assert fast.form == "prepared"
    with torch.no_grad():
        close(fast(faces), network(faces))
        # On a device that takes faces together the norms see a batch.
        close(fast.network(faces, Workspace()), network(faces))
        assert bool(prepare(network, precision="bf16")(faces).isfinite().all())
        assert bool(trial(fast.network, sizes[0]).isfinite().all())


def test_a_half_grown_prior_runs_as_it_is() -> None:
    network = trained_like(GPEN(small("pggan").config, generator=Generator().manual_seed(0)))
    network.generator.hide(0.5)
    fast = prepare(network, precision="fp32")
    assert fast.form == "plain decoder"
    faces = torch.rand(1, 3, 16, 16, generator=Generator().manual_seed(1))
    with torch.no_grad():
        close(fast(faces), network(faces))


@pytest.mark.parametrize(
    ("prior", "arguments", "message"),
    [
        ("pggan", {"truncation": 0.7}, "'pggan' cannot truncate; leave truncation at 1"),
        ("biggan", {"truncation": 0.7}, "'biggan' cannot truncate"),
        ("stylegan", {"classes": [0]}, "'stylegan' cannot choose classes; leave classes out"),
        ("stylegan2", {"classes": [0]}, "'stylegan2' cannot choose classes"),
    ],
)
def test_what_a_prior_cannot_draw_is_refused_by_name(prior: str, arguments: Mapping[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small(prior).sample(torch.zeros(1, 12), **arguments)


@pytest.mark.parametrize("prior", PRIORS)
def test_codes_of_another_length_are_refused_with_both_shapes(prior: str) -> None:
    with pytest.raises(InputError, match=r"codes \(B, 12\), got the shape \(1, 7\)"):
        small(prior).sample(torch.zeros(1, 7))


def broken(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.safetensors"
    if kind == "nvidia":
        path = folder / "ffhq.pkl"
        path.write_bytes(b"\x80\x04")
    elif kind == "truncated":
        save_file(small("pggan").state_dict(), path)
        path.write_bytes(path.read_bytes()[:-100])
    elif kind in ("half-grown pggan", "half-grown stylegan"):
        prior = small(kind.split()[1])
        prior.stages.lod.fill_(1.5)
        save_file(prior.state_dict(), path)
    elif kind == "nan":
        state = small("biggan").state_dict()
        state["linear.bias"] = state["linear.bias"] * float("nan")
        save_file(state, path)
    elif kind == "lacking":
        state = small("stylegan").state_dict()
        del state["synthesis.layer2.style.weight"]
        save_file(state, path)
    elif kind == "a model":
        save_file(GPEN(small("stylegan2").config).state_dict(), path)
    else:
        save_file({"weight": torch.zeros(3)}, path)
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("nvidia", "NVIDIA's own classes.*convert_weight.py of rosinality"),
        ("truncated", "cut short or damaged"),
        ("half-grown pggan", "pggan prior is half-grown: its lod is 1.5, so it shows 4 px of 16"),
        ("half-grown stylegan", "stylegan prior is half-grown: its lod is 1.5"),
        ("nan", "linear.bias in .* holds NaN"),
        ("lacking", "1 missing: synthesis.layer2.style.weight"),
        ("a model", "holds no generator of stylegan2, stylegan, pggan, biggan: it is a GPEN network; load_model"),
        ("another network", "it is none that is known"),
    ],
)
def test_a_file_that_holds_no_whole_generator_is_refused_in_one_line(kind: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=message) as caught:
        load_prior(broken(kind, tmp_path), device="cpu")
    assert "\n" not in str(caught.value)


def test_a_prior_given_as_another_is_refused_with_both_named() -> None:
    network = GPEN(small("stylegan2").config)
    with pytest.raises(
        TrainingError, match=r"x.pth is a pggan prior and the recipe's network takes stylegan2; set netw"
    ):
        embed_prior(network, small("pggan").state_dict(), name="x.pth")


def test_another_number_of_classes_is_refused_with_both_numbers() -> None:
    network = GPEN(small("biggan").config)
    with pytest.raises(WeightsError, match=r"has 3 classes and this network 1; set network.options.classes = 3"):
        embed_prior(network, small("biggan", classes=3).state_dict(), name="x.pth")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"style_dim": 13}, "style_dim is 13; BigGAN at 16 px divides it among 3 places: take 12"),
        ({"attention": [64]}, r"attention is \[64\]; the resolutions are \[8, 16\]"),
    ],
)
def test_a_size_that_a_prior_cannot_have_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_prior(GPENConfig.standard(16, narrow=1 / 64, prior="biggan", **{"style_dim": 12, **options}))


@pytest.mark.parametrize("prior", PRIORS)
def test_info_says_which_prior_a_file_holds(prior: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file(small(prior).state_dict(), tmp_path / "p.safetensors")
    assert main(["info", str(tmp_path / "p.safetensors")]) == 0
    assert f"the prior {prior} alone, 16 px" in capsys.readouterr().out
    assert main(["info", "--json", str(tmp_path / "p.safetensors")]) == 0
    assert json.loads(capsys.readouterr().out)["config"]["prior"] == prior
