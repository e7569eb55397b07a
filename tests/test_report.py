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
