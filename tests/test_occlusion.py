"""What covers a face stays as it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_restorers import Network, face, inverted
from task_models import task_model
from torch import Tensor

from gpen_core.errors import ConfigError
from gpen_core.faces.occlusion import contradicted
from gpen_core.options import Blending, Masking, RestoreOptions
from gpen_core.report import FaceReport
from gpen_core.restore import FaceRestorer
from gpen_core.tasks import colorize

PLAIN = RestoreOptions(blending=Blending(keep_detail=False))
KEEP = replace(PLAIN, masking=Masking(occlusion=True))


def portrait(size: int = 128) -> np.ndarray:
    """(size, size, 3): soft shades, a little noise, and a dark bar across the mouth."""
    x = np.linspace(0, 1, size, dtype=np.float32)
    shades = np.stack(
        [0.5 + 0.3 * x[None] * x[:, None], 0.5 + 0.2 * x[:, None] + 0 * x[None], 0.6 - 0.2 * x[None] + 0 * x[:, None]],
        2,
    )
    shades += np.random.default_rng(0).normal(scale=0.01, size=shades.shape)
    shades[bar(size)] = 0.1
    return shades.astype(np.float32)


def bar(size: int) -> tuple[slice, slice]:
    return np.s_[size * 9 // 16 : size * 12 // 16, size * 3 // 8 : size * 6 // 8]


def painting_over(crops: Tensor) -> Tensor:
    """A network that puts skin where the bar is, and makes all else a little brighter."""
    result = crops * 0.98 + 0.02
    rows, columns = bar(crops.shape[-1])
    result[..., rows, columns] = 0.6
    return result


def restored(options: RestoreOptions, **parts: object) -> np.ndarray:
    return FaceRestorer(Network(painting_over, 64), **parts).restore(portrait(), options, aligned=True).picture


def test_what_an_occluder_names_stays_and_the_face_outside_is_as_before() -> None:
    def occluder(crops: Tensor) -> Tensor:
        covered = torch.zeros(len(crops), *crops.shape[2:])
        covered[:, 20:52, 8:56] = 1
        return covered

    plain, kept = restored(PLAIN), restored(KEEP, occluder=occluder)
    np.testing.assert_array_equal(kept[48:96, 24:104], portrait()[48:96, 24:104])
    np.testing.assert_array_equal(kept[:30], plain[:30])
    assert np.abs(plain - portrait())[bar(128)].mean() > 0.3


def test_without_one_what_the_result_contradicts_stays_and_the_face_outside_is_nearly_as_before() -> None:
    plain, kept = restored(PLAIN), restored(KEEP)
    assert 255 * np.abs(kept - portrait())[bar(128)].mean() <= 2
    outside = np.ones((128, 128), bool)
    outside[48:120, 24:120] = False
    np.testing.assert_allclose(kept[outside], plain[outside], atol=1e-3)


def test_what_the_parser_calls_glasses_stays_though_nothing_contradicts() -> None:
    def parser(faces: Tensor) -> Tensor:
        labels = torch.ones(len(faces), *faces.shape[2:], dtype=torch.long)
        labels[:, 160:240] = 3
        return labels

    options = replace(KEEP, masking=Masking(kind="box", margin=0, feather=0, least_feather=0, occlusion=True))
    restorer = FaceRestorer(Network(lambda x: x * 0.9, 64), parser=parser)
    kept = restorer.restore(portrait(), options, aligned=True)
    np.testing.assert_array_equal(kept.picture[42:58], portrait()[42:58])
    assert (kept.picture[70:90] != portrait()[70:90]).all()
    assert kept.faces[0].covered == pytest.approx(80 / 512, abs=0.02)


@pytest.mark.parametrize("change", [lambda x: x, lambda x: x * 0.7, lambda x: 1 - x])
def test_a_face_that_changes_everywhere_alike_is_not_covered(change) -> None:
    crops = torch.full((2, 3, 96, 96), 0.4) + 0.01 * torch.randn(
        2, 3, 96, 96, generator=torch.Generator().manual_seed(0)
    )
    assert float(contradicted(crops, change(crops)).mean()) < 0.02


def test_photographs_of_many_faces_and_the_report_know_what_was_covered() -> None:
    picture = np.random.default_rng(3).random((90, 200, 3), np.float32)
    faces = [face(10, 10, 60), face(110, 20, 60)]
    result = FaceRestorer(inverted()).restore(picture, KEEP, detections=faces)
    rows = [FaceReport.of(entry, index, result.decoded) for index, entry in enumerate(result.faces)]
    assert all(row.covered is not None and 0 <= row.covered <= 1 for row in rows)
    unasked = FaceRestorer(inverted()).restore(picture, detections=faces)
    assert FaceReport.of(unasked.faces[0], 0, unasked.decoded).covered is None


def test_colouring_refuses_it_by_name() -> None:
    with pytest.raises(ConfigError, match="occlusion: what is grey"):
        colorize(portrait(), task_model("colorization"), options=KEEP, detections=[])
