"""Other face restorers, in GPEN's place: spandrel's architectures with random weights, and the smaller parser."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from other_restorers import CALLS, SLOW, made
from PIL import Image
from safetensors.torch import save_file
from small_batches import SKIN

from gpen_core import FaceRestorer, RestoreOptions, load_model, load_parser
from gpen_core.cli.main import main
from gpen_core.config import ModelCard
from gpen_core.errors import InputError, OtherNetworkError, WeightsError
from gpen_core.faces.parse import BISENET_CLASSES
from gpen_core.faces.types import Detection
from gpen_core.formats.restorers import read_restorer
from gpen_core.weights import zoo

pytest.importorskip("spandrel")
pytest.importorskip("spandrel_extra_arches")

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.*")


@pytest.fixture(params=[pytest.param(k, marks=pytest.mark.slow if k in SLOW else ()) for k in CALLS])
def restorer(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, torch.nn.Module, Path]:
    """The architecture's name, a random network, and its file."""
    network = made(request.param)
    torch.save({"params_ema": network.state_dict()}, tmp_path / "other.pth")
    return request.param, network, tmp_path / "other.pth"


def find(pictures: torch.Tensor) -> list[list[Detection]]:
    points = torch.tensor([[40.0, 48], [88, 48], [64, 72], [48, 92], [80, 92]])
    return [[Detection(box=torch.tensor([16.0, 16, 112, 112]), landmarks=points, score=0.99)] for _ in pictures]


def test_another_restorer_is_a_model_and_gives_what_its_network_gives(
    restorer: tuple[str, torch.nn.Module, Path],
) -> None:
    kind, network, path = restorer
    model: Any = load_model(path, device="cpu")
    assert (model.architecture, model.config.in_size, model.card.template) == (kind, 512, "ffhq")
    assert model.form == f"spandrel {kind}"
    face = torch.rand(2, 3, 512, 512, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        expected = torch.cat([CALLS[kind][1](network, one[None]) for one in face])
    found = model(face)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert torch.equal(model(face[1:]), found[1:])


def test_it_restores_a_photograph_and_the_crop_is_what_it_made(restorer: tuple[str, torch.nn.Module, Path]) -> None:
    kind, network, path = restorer
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    picture = (picture * SKIN).astype(np.uint8)
    result = FaceRestorer(load_model(path, device="cpu"), find).restore(picture, RestoreOptions())
    (face,) = result.faces
    with torch.no_grad():
        expected = CALLS[kind][1](network, face.crop[None].float() * 2 - 1)[0]
    difference = (face.restored.float() - ((expected + 1) / 2).clamp(0, 1)).abs()
    assert difference.mean() < 0.01
    assert (result.picture != picture).any()


def test_the_command_says_what_it_ran(tmp_path: Path) -> None:
    network = made("RestoreFormer")
    save_file({f"vqvae.{k}": v.contiguous() for k, v in network.state_dict().items()}, tmp_path / "rf.safetensors")
    Image.fromarray(np.zeros((512, 512, 3), np.uint8)).save(tmp_path / "face.png")
    words = ["restore", tmp_path / "face.png", "-o", tmp_path / "out", "--model", tmp_path / "rf.safetensors"]
    assert main([str(word) for word in [*words, "--aligned", "--device", "cpu"]]) == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text())["settings"]["form"] == "spandrel RestoreFormer"


def test_what_another_restorer_has_no_use_for_is_refused(tmp_path: Path) -> None:
    torch.save(made("RestoreFormer").state_dict(), tmp_path / "rf.pth")
    for model in (tmp_path / "rf.pth", "gpen-open-256"):
        with pytest.raises(InputError, match="fidelity is CodeFormer's"):
            load_model(model, device="cpu", fidelity=0.5)
    with pytest.raises(InputError, match="computes in fp32"):
        load_model(tmp_path / "rf.pth", device="cpu", precision="bf16")
    with pytest.raises(InputError, match=r"rf\.pth is a RestoreFormer restorer, and not for colorization; leave task"):
        load_model(tmp_path / "rf.pth", device="cpu", task="colorization")
    assert load_model(tmp_path / "rf.pth", device="cpu", task="restoration").card.task == "restoration"
    with pytest.raises(OtherNetworkError, match="a RestoreFormer restorer, not a GPEN network"):
        load_model(tmp_path / "rf.pth", device="cpu", prepare=False)


@pytest.mark.slow
def test_fidelity_changes_what_codeformer_gives(tmp_path: Path) -> None:
    torch.save({"params_ema": made("CodeFormer").state_dict()}, tmp_path / "cf.pth")
    face = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(0)) * 2 - 1
    results = [load_model(tmp_path / "cf.pth", device="cpu", fidelity=w)(face) for w in (0.0, 1.0)]
    assert not torch.allclose(*results)
    with pytest.raises(InputError, match="between 0 and 1"):
        load_model(tmp_path / "cf.pth", device="cpu", fidelity=2)


def test_architectures_that_a_host_has_registered_already_are_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    import spandrel
    import spandrel_extra_arches

    monkeypatch.setattr(spandrel_extra_arches, "EXTRA_REGISTRY", spandrel.MAIN_REGISTRY)
    with pytest.raises(WeightsError, match="no face restorer that spandrel knows"):
        read_restorer({"ft_layers.0.weight": torch.zeros(1)}, ModelCard(), Path("cf.pth"))


def test_a_damaged_restorer_is_refused_in_one_line(tmp_path: Path) -> None:
    state = made("RestoreFormer").state_dict()
    del state["decoder.conv_out.bias"]
    torch.save(state, tmp_path / "rf.pth")
    with pytest.raises(WeightsError, match="no face restorer that spandrel knows"):
        load_model(tmp_path / "rf.pth", device="cpu")


@pytest.mark.parametrize("name", ["GFPGANv1.4.pth", "GFPGAN-1.3", "codeformer", "RestoreFormer++", "restoreformer"])
def test_the_zoo_knows_other_restorers_by_name_and_hash(name: str) -> None:
    entry = zoo.find(name)
    assert entry.kind == "restorer"
    assert zoo.with_hash(entry.sha256 or "") is entry
    assert entry.card is not None
    assert entry.card.template == "ffhq"


@pytest.mark.filterwarnings("ignore")
def test_bisenet_tells_regions_in_the_order_of_celebamask(tmp_path: Path) -> None:
    bisenet = pytest.importorskip("facexlib.parsing.bisenet")
    torch.manual_seed(0)
    network = bisenet.BiSeNet(num_class=19).eval()
    torch.save(network.state_dict(), tmp_path / "parsing_bisenet.pth")
    parser = load_parser(tmp_path / "parsing_bisenet.pth", device="cpu")
    face = torch.rand(1, 3, 512, 512, generator=torch.Generator().manual_seed(1))
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        own = network((face - mean.view(3, 1, 1)) / deviation.view(3, 1, 1))[0].argmax(1)
    labels = parser(face)
    assert sorted(BISENET_CLASSES) == list(range(19))
    assert (labels == torch.tensor(BISENET_CLASSES)[own]).float().mean() > 0.999
    with pytest.raises(InputError, match="expected"):
        parser(face[..., :100])
