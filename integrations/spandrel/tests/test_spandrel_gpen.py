"""GPEN files through spandrel's own loader."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

if TYPE_CHECKING:
    import spandrel
else:
    spandrel = pytest.importorskip("spandrel")

from gpen_core import GPEN, GPENConfig, load_model
from gpen_core.formats.spandrel_architecture import GPENArch, install
from gpen_core.weights.entry import BUNDLED


@pytest.fixture
def loader() -> "spandrel.ModelLoader":
    """A loader over a registry of its own, in which GPEN stands after all that spandrel knows."""
    registry = spandrel.ArchRegistry()
    registry.add(*spandrel.MAIN_REGISTRY)
    registry.add(spandrel.ArchSupport.from_architecture(GPENArch()), ignore_duplicates=True)
    return spandrel.ModelLoader(registry=registry)


def small(size: int, **other: Any) -> GPEN:
    config = GPENConfig.standard(size, narrow=1 / 64, style_dim=16, n_mlp=2, **other)
    return GPEN(config, generator=torch.Generator().manual_seed(0)).eval()


def restored(model: GPEN, face: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        result: torch.Tensor = model(face * 2 - 1)
    return ((result + 1) / 2).clamp(0, 1)


def test_the_shipped_file_is_a_face_restorer_of_one_size(loader: "spandrel.ModelLoader") -> None:
    found = loader.load_from_file(BUNDLED / "gpen-open-256.safetensors")
    assert (found.architecture.id, found.purpose, found.scale) == ("GPEN", "FaceSR", 1)
    assert (found.input_channels, found.output_channels) == (3, 3)
    assert found.size_requirements.square
    face = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    ours = load_model("gpen-open-256", prepare=False, device="cpu")
    torch.testing.assert_close(found(face), restored(ours, face), rtol=0, atol=1e-5)


@pytest.mark.parametrize("wrapper", [None, "params_ema", "g_ema"])
def test_a_file_as_the_authors_wrote_them_is_read(loader: "spandrel.ModelLoader", tmp_path: Path, wrapper: str) -> None:
    model = small(16)
    state = dict(model.state_dict())
    torch.save(state if wrapper is None else {wrapper: state}, tmp_path / "GPEN-BFR-16.pth")
    if wrapper == "g_ema":  # spandrel does not open it: as its users do
        found = loader.load_from_state_dict(torch.load(tmp_path / "GPEN-BFR-16.pth")["g_ema"])
    else:
        found = loader.load_from_file(tmp_path / "GPEN-BFR-16.pth")
    face = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(found(face), restored(model, face), rtol=0, atol=1e-5)


@pytest.mark.parametrize("side", [12, 40])
def test_a_picture_of_another_size_comes_back_in_its_own(loader: "spandrel.ModelLoader", side: int) -> None:
    model = small(16, out_size=32)
    found = loader.load_from_state_dict(dict(model.state_dict()))
    assert found.scale == 2
    assert found(torch.rand(1, 3, side, side)).shape == (1, 3, 2 * side, 2 * side)


def test_files_without_blur_kernels_are_read(loader: "spandrel.ModelLoader") -> None:
    model = small(16)
    bare = {name: tensor for name, tensor in model.state_dict().items() if not name.endswith("kernel")}
    face = torch.rand(1, 3, 16, 16)
    torch.testing.assert_close(loader.load_from_state_dict(bare)(face), restored(model, face), rtol=0, atol=1e-5)


def test_no_other_network_is_taken_for_a_gpen() -> None:
    detect = GPENArch().detect
    assert not detect({"generator.input.input": torch.zeros(1), "final_linear.0.weight": torch.zeros(1)})
    assert not detect({"conv_first.weight": torch.zeros(1)})


def test_installing_twice_adds_it_once() -> None:
    install()
    assert install() == []
    assert sum(arch.architecture.id == "GPEN" for arch in spandrel.MAIN_REGISTRY) == 1
