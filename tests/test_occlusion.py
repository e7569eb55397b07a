"""What covers a face stays as it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_models import small_model
from small_restorers import Network, face, inverted
from task_models import task_model
from torch import Tensor

import gpen_core
from gpen_core.cli.main import main
from gpen_core.errors import ConfigError, InputError, WeightsError
from gpen_core.faces.mask import ellipse_mask
from gpen_core.faces.occluder import OcclusionNetwork
from gpen_core.faces.occlusion import contradicted
from gpen_core.images import Picture, read_picture, write_picture
from gpen_core.options import Blending, Masking, RestoreOptions
from gpen_core.report import FaceReport
from gpen_core.restore import FaceRestorer
from gpen_core.tasks import colorize
from gpen_core.weights import load_model, load_occluder
from gpen_core.weights.tensors import save_tensors

EXAMPLES = Path(gpen_core.__file__).parent / "examples"
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


def test_without_one_the_network_that_ships_is_asked_and_another_word_than_its_opposite_is_refused() -> None:
    np.testing.assert_array_equal(restored(KEEP), restored(KEEP, occluder=load_occluder("gpen-open-occluder")))
    assert (restored(KEEP) != restored(KEEP, occluder="contradiction")).any()
    with pytest.raises(InputError, match=r"occluder is 'gpen-open-occluder'; give what load_occluder gives"):
        FaceRestorer(inverted(), occluder="gpen-open-occluder")


def test_the_network_that_ships_sees_what_is_before_a_face_and_leaves_the_face() -> None:
    restorer = FaceRestorer(inverted(256))
    picture = read_picture(EXAMPLES / "sent-around.jpg")
    crop = restorer.align(picture, restorer.detect(picture)[:1], RestoreOptions(template="ffhq")).crops
    covered = crop.clone()
    covered[..., 130:190, 60:200] = torch.tensor([0.2, 0.5, 0.6])[:, None, None]
    free, seen = load_occluder(device="cpu")(torch.cat([crop, covered]))
    inside = ellipse_mask(64) > 0.5
    assert float(free[inside].mean()) < 0.1
    assert float(seen[34:46, 17:48].mean()) > 0.9


def test_what_the_result_contradicts_stays_and_the_face_outside_is_nearly_as_before() -> None:
    plain, kept = restored(PLAIN), restored(KEEP, occluder="contradiction")
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
    restorer = FaceRestorer(Network(lambda x: x * 0.9, 64), parser=parser, occluder="contradiction")
    kept = restorer.restore(portrait(), options, aligned=True)
    np.testing.assert_array_equal(kept.picture[42:58], portrait()[42:58])
    assert (kept.picture[70:90] != portrait()[70:90]).all()
    assert kept.faces[0].covered == pytest.approx(80 / 512, abs=0.02)


def test_what_an_occluder_and_what_the_parser_names_both_stay() -> None:
    def occluder(faces: Tensor) -> Tensor:
        return torch.cat([torch.zeros(len(faces), 32, 64), torch.ones(len(faces), 32, 64)], 1)

    def parser(faces: Tensor) -> Tensor:
        labels = torch.ones(len(faces), *faces.shape[2:], dtype=torch.long)
        labels[:, 80:160] = 3
        return labels

    kept = restored(KEEP, occluder=occluder, parser=parser)
    for rows in (np.s_[22:38], np.s_[66:]):
        np.testing.assert_array_equal(kept[rows], portrait()[rows])
    assert (kept[44:60] != portrait()[44:60]).mean() > 0.9


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


def test_an_occlusion_network_is_read_from_its_file_and_another_is_refused_by_name(tmp_path) -> None:
    torch.manual_seed(0)
    save_tensors(tmp_path / "occluder.safetensors", OcclusionNetwork().eval().state_dict(), {})
    occluder = load_occluder(tmp_path / "occluder.safetensors", device="cpu")
    found = occluder(torch.rand(2, 3, 100, 100))
    assert found.shape == (2, 64, 64)
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    small_model().save_pretrained(tmp_path / "model")
    with pytest.raises(WeightsError, match="is no occlusion network"):
        load_occluder(tmp_path / "model" / "model.safetensors", device="cpu")
    with pytest.raises(WeightsError, match="is an occlusion network, not a GPEN network"):
        load_model(tmp_path / "occluder.safetensors", device="cpu")


def test_the_shell_takes_an_occluder_where_something_is_to_be_kept(tmp_path, capsys) -> None:
    state = OcclusionNetwork().eval().state_dict()
    state["judge.bias"] += 20  # sure that all is covered
    save_tensors(tmp_path / "occluder.safetensors", state, {})
    small_model().save_pretrained(tmp_path / "model")
    pixels = (portrait() * 255).round().astype(np.uint8)
    write_picture(Picture(pixels=pixels), tmp_path / "in.png")
    asked = [
        "restore",
        str(tmp_path / "in.png"),
        "-o",
        str(tmp_path / "out"),
        "--aligned",
        "--device",
        "cpu",
        "--quiet",
    ]
    asked += ["--model", str(tmp_path / "model"), "--occluder", str(tmp_path / "occluder.safetensors")]
    assert main(asked) != 0
    assert "--occluder MODEL needs --occlusion" in capsys.readouterr().err
    assert main([*asked, "--occlusion"]) == 0
    np.testing.assert_array_equal(read_picture(tmp_path / "out" / "in.png").pixels, pixels)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["pictures"][0]["faces"][0]["covered"] == pytest.approx(1)
    assert report["settings"]["occluder"].endswith("occluder.safetensors")
    del asked[-2:]
    for more, said in (
        (["--occlusion"], "gpen-open-occluder"),
        (["--occlusion", "--occluder", "contradiction"], "contradiction"),
        ([], None),
    ):
        assert main([*asked, "--overwrite", *more]) == 0
        assert json.loads((tmp_path / "out" / "report.json").read_text())["settings"].get("occluder") == said
