"""What a report says of pictures and faces, and the figures in it."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from gpen_core.errors import ConfigError
from gpen_core.faces.types import Detection
from gpen_core.images import Picture
from gpen_core.measures.figures import colour_shift, face_figures, sharpness
from gpen_core.report import FaceReport, PictureReport, write_report
from gpen_core.restore.result import RestoredFace

PICTURE = Picture(pixels=np.full((64, 64, 3), 128, np.uint8))
LANDMARKS = [(20, 20), (40, 20), (30, 30), (22, 40), (38, 40)]


def plain(colour: tuple[float, float, float], size: int = 64) -> torch.Tensor:
    return torch.tensor(colour)[:, None, None].expand(3, size, size).contiguous()


def restored_face(crop: torch.Tensor | None, restored: torch.Tensor | None, mask: torch.Tensor) -> RestoredFace:
    return RestoredFace(
        detection=Detection(box=(10, 10, 50, 54), landmarks=LANDMARKS, score=0.9),
        affine=torch.eye(2, 3, dtype=torch.float64),
        rectangle=(0, 0, 64, 64),
        mask=mask,
        strength=0.7,
        crop=crop,
        restored=restored,
    )


def test_colour_shift_is_the_distance_in_cielab():
    black, white, red = plain((0, 0, 0)), plain((1, 1, 1)), plain((1, 0, 0))
    assert colour_shift(black, white) == pytest.approx(100, abs=0.05)
    # sRGB's red is L* 53.24, a* 80.09, b* 67.20
    assert colour_shift(black, red) == pytest.approx(math.hypot(53.24, 80.09, 67.20), abs=0.1)
    assert colour_shift(red, red) == 0


def test_sharpness_grows_with_detail_and_is_nothing_where_there_is_none():
    flat = plain((0.4, 0.5, 0.6))
    noise = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(1))
    softer = torch.nn.functional.avg_pool2d(noise[None], 3, 1, 1)[0]
    assert sharpness(flat) == pytest.approx(0, abs=1e-3)
    assert sharpness(noise) > 3 * sharpness(softer) > 0
    # a checkerboard of two levels: the Laplacian is four times their difference everywhere
    board = ((torch.arange(64)[None] + torch.arange(64)[:, None]) % 2).float().expand(3, 64, 64)
    assert sharpness(board * 0.1) == pytest.approx(255 * 0.4, rel=1e-3)


def test_figures_of_a_face_and_a_warning_where_it_lost_sharpness():
    noise = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(2))
    mask = torch.zeros(64, 64)
    mask[16:48, 16:48] = 1
    mask = torch.nn.functional.avg_pool2d(mask[None, None], 5, 1, 2)[0, 0]
    gain = face_figures(restored_face(plain((0.5, 0.5, 0.5)), noise, mask), PICTURE)
    assert gain["sharpness_after"] > gain["sharpness_before"]
    assert "warnings" not in gain
    loss = face_figures(restored_face(noise, plain((0.5, 0.5, 0.5), 128), mask), PICTURE)
    assert "less sharp" in loss["warnings"][0]
    assert set(face_figures(restored_face(None, None, mask), PICTURE)) == {"seam"}


def test_a_face_is_reported_with_what_is_known_of_it():
    mask = torch.ones(64, 64)
    report = FaceReport.of(restored_face(None, None, mask), 3, PICTURE)
    assert (report.index, report.size, report.strength, round(report.score, 3)) == (3, 40.0, 0.7, 0.9)
    with pytest.raises(ConfigError, match="no field beauty"):
        FaceReport.of(restored_face(None, None, mask), 0, PICTURE, (lambda face, picture: {"beauty": 1},))


def test_a_report_is_json_without_nan(tmp_path):
    face = FaceReport.of(
        SimpleNamespace(box=(0, 1, 2, 3), landmarks=LANDMARKS), 0, PICTURE, (lambda f, p: {"seam": math.nan},)
    )
    row = PictureReport(input="ü.jpg", faces=(face,), seconds={"decode": 0.123456})
    write_report(tmp_path / "report.json", iter([row.to_dict()] * 3), {"strength": 0.123456789})
    read = json.loads((tmp_path / "report.json").read_text())
    assert read["settings"] == {"strength": 0.123456789}
    assert read["totals"]["faces"] == 3
    assert read["pictures"][0]["seconds"] == {"decode": 0.1235}
    assert read["pictures"][0]["faces"][0]["seam"] is None
    assert "score" not in read["pictures"][0]["faces"][0]
    with pytest.raises(ConfigError, match="status is"):
        PictureReport(input="a", status="lost")
