"""A model of two networks: which of them a face meets, on every way that a face takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_restorers import face
from torch import Tensor

from gpen_core.architecture.prepared import prepare
from gpen_core.architecture.sized import SizedGPEN
from gpen_core.config import GPENConfig, ModelCard
from gpen_core.contracts import input_size_for, larger_of
from gpen_core.errors import ConfigError, InputError
from gpen_core.report import FaceReport
from gpen_core.restore import FaceRestorer
from gpen_core.restore.provenance import provenance_of
from gpen_core.video import Smoothing, restore_frames
from gpen_core.weights import GPEN


def network(size: int, card: ModelCard | None = None) -> Any:
    config = GPENConfig.standard(size, narrow=1 / 64, style_dim=8, n_mlp=1)
    card = card or ModelCard(name=f"small-{size}", template="ffhq", border="reflect")
    return prepare(GPEN(config, card, generator=torch.Generator().manual_seed(size)).eval(), precision="fp32")


@pytest.fixture(scope="module")
def model() -> SizedGPEN:
    return SizedGPEN(network(16), network(32), name="small")


def picture(side: int = 700) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)


def crops(size: int, count: int = 2) -> Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(1))


def test_each_size_meets_its_own_network(model: SizedGPEN):
    for part in (model.small, model.large):
        given = crops(part.config.in_size) * 2 - 1
        assert torch.equal(model(given), part(given))
    with pytest.raises(InputError, match="16 or 32 px"):
        model(crops(24))


def test_large_faces_of_a_photograph_meet_the_larger_network_and_the_report_says_so(model: SizedGPEN):
    sides = [60.0, 260.0, 250.0, 80.0, 199.0]
    faces = [face(100 + 110 * n, 150 + 80 * n, side) for n, side in enumerate(sides)]
    sizes = [face.size for face in faces]
    result = FaceRestorer(model).restore(picture(), detections=faces)
    wanted = [32 if size >= 200 else 16 for size in sizes]
    assert set(wanted) == {16, 32}
    assert [done.in_size for done in result.faces] == wanted
    assert [done.crop.shape[-1] for done in result.faces if done.crop is not None] == wanted
    told = [FaceReport.of(done, 0, result.decoded).in_size for done in result.faces]
    assert told == wanted
    assert all(isinstance(size, int) for size in told)


def test_a_face_is_restored_as_by_its_network_alone_whoever_is_beside_it(model: SizedGPEN):
    faces = [face(120, 120, 60), face(420, 420, 300)]
    both = FaceRestorer(model).restore(picture(), detections=faces).faces
    for done, part, one in zip(both, (model.small, model.large), faces, strict=True):
        (alone,) = FaceRestorer(part).restore(picture(), detections=[one]).faces
        assert done.restored is not None
        assert alone.restored is not None
        assert torch.equal(done.restored, alone.restored)


@pytest.mark.parametrize(("side", "size"), [(12, 16), (16, 16), (17, 32), (300, 32)])
def test_an_aligned_face_meets_the_network_by_its_own_size(model: SizedGPEN, side: int, size: int):
    (done,) = FaceRestorer(model).restore(picture(side), aligned=True).faces
    assert done.in_size == size == input_size_for(model, side)


def test_pictures_share_batches_by_size_and_come_in_order(model: SizedGPEN):
    given = [picture(400 + n) for n in range(4)]
    detections = [[face(200, 200, 60 if n % 2 else 300)] for n in range(4)]
    results = list(FaceRestorer(model).restore_many(given, detections=detections))
    assert [result.decoded.width for result in results] == [400, 401, 402, 403]
    assert [result.faces[0].in_size for result in results] == [32, 16, 32, 16]


@pytest.mark.parametrize(("sides", "size"), [((240, 240), 32), ((120, 120), 16), ((None, 240), 32), ((240, 120), 16)])
def test_frames_meet_one_network_by_the_usual_size_of_the_first_faces(
    model: SizedGPEN, monkeypatch: pytest.MonkeyPatch, sides: tuple[float | None, float], size: int
) -> None:
    """sides: of the face in the first four frames, and in those that follow; None: in the first 24 there is none."""
    few = 24 if sides[0] is None else 4
    sought = [sides[0] if n < few else sides[1] for n in range(28)]
    found = [[face(20, 20, side)] if side else [] for side in sought]
    asked: set[int] = set()
    cut = FaceRestorer.align

    def align(self: FaceRestorer, *given: Any, size: int | None) -> Any:
        crops = cut(self, *given, size=size)
        asked.update([crops.crops.shape[-1]] if len(crops) else [])
        return crops

    monkeypatch.setattr(FaceRestorer, "align", align)
    results = list(restore_frames([picture(280)] * 28, FaceRestorer(model), smoothing=Smoothing(), detections=found))
    assert asked == {size}
    assert {done.in_size for result in results for done in result.faces} == {size}


def test_step_by_step_the_crops_decide(model: SizedGPEN):
    restorer = FaceRestorer(model)
    found = [face(200, 200, 300)]
    for size in (None, 32):
        cut = restorer.align(picture(), found, size=size)
        assert cut.crops.shape[-1] == restorer.run(cut.crops).shape[-1] == (size or 16)
    assert restorer.run(crops(32, 0)).shape == (0, 3, 32, 32)


def test_results_name_both_files(model: SizedGPEN, tmp_path: Path):
    for part in (model.small, model.large):
        part.file = tmp_path / part.card.name
        part.file.write_text(part.card.name)
    told = provenance_of(model, 1.0)
    assert told.model == "small"
    assert told.sha256 is not None
    assert len(set(told.sha256.split())) == 2


def test_only_networks_that_are_shown_faces_alike_go_together():
    assert larger_of(network(16)) is None
    with pytest.raises(ConfigError, match="small-32 and small-16 do not go together"):
        SizedGPEN(network(32), network(16), name="wrong")
    with pytest.raises(ConfigError, match="aligned and scaled"):
        SizedGPEN(network(16), network(32, replace(network(32).card, border="black")), name="wrong")
