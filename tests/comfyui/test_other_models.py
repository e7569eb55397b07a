"""Models of other kinds in the nodes: an ONNX file, another architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from face_stand_ins import photograph
from nodes_under_test import Pack
from other_restorers import CALLS, SLOW, made
from real_graphs import example, frames_of, write_film
from small_batches import SKIN


def inverting(path: Path, size: int) -> None:
    """An ONNX restorer that inverts colours, any batch."""
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper = onnx.helper
    shape = ["batch", 3, size, size]
    takes, gives = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("input", "output"))
    graph = helper.make_graph([helper.make_node("Neg", ["input"], ["output"])], "g", [takes], [gives])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    made.ir_version = 9
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made.SerializeToString())


@pytest.mark.filterwarnings("ignore:.*does not say how faces are posed")
def test_an_onnx_file_of_another_pack_is_found_loaded_and_run(pack: Pack) -> None:
    inverting(pack.engine.root / "models" / "facerestore_models" / "inverting.onnx", 64)
    (model,) = pack.run("GPEN_LoadModel", model="inverting.onnx", precision="auto", detector="auto", parser="none")
    assert model.network.form == "onnx CPU"
    assert (model.config.in_size, model.card.template) == (64, "arcface")
    crops = photograph()[:, :64, :64] * torch.from_numpy(SKIN).float()
    restored = pack.run("GPEN_RestoreCrops", gpen_model=model, crops=crops)[0]
    torch.testing.assert_close(restored, 1 - crops, rtol=0, atol=1e-5)


class ByHand:
    """A network of another architecture, called as its own authors do."""

    def __init__(self, kind: str, model: Any) -> None:
        self.network, self.call = made(kind), CALLS[kind][1]
        self.config, self.card = model.config, model.card

    def __call__(self, faces: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([self.call(self.network, face[None]) for face in faces])


class Film:
    """A VIDEO that is the whole of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get_stream_source(self) -> str:
        return str(self.path)

    def save_to(self, path: str) -> None:
        raise AssertionError("a whole film need not be written again")


KINDS = [pytest.param(kind, marks=pytest.mark.slow if kind in SLOW else ()) for kind in CALLS]


def loaded(pack: Pack, kind: str, **values: Any) -> Any:
    """The architecture's file, written where other packs keep theirs, and read by the loader."""
    pytest.importorskip("spandrel")
    if kind == "CodeFormer":
        pytest.importorskip("spandrel_extra_arches")
    path = pack.engine.root / "models" / "facerestore_models" / "other.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"params_ema": made(kind).state_dict()}, path)
    given = {"precision": "auto", "detector": "auto", "parser": "none", **values}
    return pack.run("GPEN_LoadModel", model="other.pth", **given)[0]


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*")
@pytest.mark.parametrize("kind", KINDS)
def test_another_restorers_faces_are_what_its_network_gives_by_hand(pack: Pack, kind: str) -> None:
    model = loaded(pack, kind)
    assert model.network.form == f"spandrel {kind}"
    # In good light: what spans less is shown to the network otherwise.
    image = (torch.from_numpy(np.asarray(example(), dtype=np.float32))[None] / 255 * 1.8 - 0.5).clamp(0, 1)
    restored, _, before, after, _, count = pack.run("GPEN_RestoreFaces", gpen_model=model, image=image)
    assert count == 1
    expected = (ByHand(kind, model)(before.movedim(-1, 1) * 2 - 1) + 1) / 2
    torch.testing.assert_close(after, expected.movedim(1, -1).clamp(0, 1), rtol=0, atol=2e-3)
    assert (restored - image).abs().max() > 0.05


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*")
@pytest.mark.slow
@pytest.mark.parametrize("kind", CALLS)
def test_a_film_by_another_restorer_is_the_one_that_its_network_makes_by_hand(
    pack: Pack, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_film(tmp_path / "film.mp4", example(), frames=2)
    model = loaded(pack, kind)
    monkeypatch.setattr(pack.module("nodes.adapter"), "video_from", lambda path: path)
    film = Film(tmp_path / "film.mp4")
    made_by_node, count = pack.run("GPEN_RestoreVideo", video=film, gpen_model=model, temporal_smoothing=False)
    assert count == 2
    restorer = pack.module("gpen_core.restore").FaceRestorer(ByHand(kind, model), model.detector())
    unsmoothed = pack.module("gpen_core.film_options").FilmOptions(smoothing=None)
    pack.module("gpen_core.video").restore_film(film.path, tmp_path / "hand.mp4", restorer, film=unsmoothed)
    for ours, theirs in zip(frames_of(made_by_node), frames_of(tmp_path / "hand.mp4"), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2 / 255)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*")
def test_codeformers_fidelity_is_an_input_of_the_loader(pack: Pack) -> None:
    crops = torch.rand(1, 512, 512, 3, generator=torch.Generator().manual_seed(0))
    results = []
    for fidelity in (-1.0, 0.5, 1.0):
        model = loaded(pack, "CodeFormer", fidelity=fidelity)
        results.append(pack.run("GPEN_RestoreCrops", gpen_model=model, crops=crops)[0])
    assert torch.equal(results[0], results[1])
    assert not torch.allclose(results[0], results[2])


def test_fidelity_is_refused_by_a_network_that_has_none(pack: Pack) -> None:
    with pytest.raises(pack.module("gpen_core.errors").InputError, match="fidelity is CodeFormer's"):
        pack.run("GPEN_LoadModel", model="gpen-open", fidelity=0.5)
