"""Certificates: the errors of each form and precision against float64."""

import hashlib
import json
from pathlib import Path

import pytest
import torch
from small_models import CARD, small_model

from gpen_core.cli.main import main
from gpen_core.config import ModelCard
from gpen_core.errors import ConfigError
from gpen_core.weights import checkpoint, verify


def test_float32_forms_are_within_a_ten_thousandth_and_bfloat16_is_not() -> None:
    found = {(d.form, d.precision): d for d in verify.deviations(small_model())}
    for form in ("plain", "prepared"):
        exact = found[form, "fp32"]
        assert exact.largest is not None
        assert exact.mean is not None
        assert 0 < exact.mean < exact.largest < 1e-4
        assert exact.holds
    low = found["prepared", "bf16"]
    assert low.largest is not None
    assert low.largest > 1e-4


def test_an_error_put_into_a_form_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = verify._plain
    monkeypatch.setattr(verify, "_plain", lambda model, faces: plain(model, faces) + (faces.dtype == torch.float32))
    found = verify.deviations(small_model(), precisions=["fp32"])[0]
    assert found.form == "plain"
    assert found.largest == pytest.approx(1, abs=1e-3)
    assert found.mean == pytest.approx(1, abs=1e-3)
    assert found.psnr == pytest.approx(20 * torch.log10(torch.tensor(2.0)).item(), abs=0.1)
    assert not found.holds


def test_the_faces_are_the_same_every_time_and_fill_the_cards_range() -> None:
    faces = verify.fixed_faces(64, (0.0, 1.0))
    assert torch.equal(faces, verify.fixed_faces(64, (0.0, 1.0)))
    torch.testing.assert_close(faces * 2 - 1, verify.fixed_faces(64, (-1.0, 1.0)))
    assert 0 <= faces.min() < 0.2 < 0.8 < faces.max() <= 1


def test_a_precision_the_device_lacks_is_told_and_the_rest_goes_on() -> None:
    found = verify.deviations(small_model(), precisions=["tf32", "fp32"])
    assert found[1].refused is not None
    assert "TF32" in found[1].refused
    assert found[2].largest is not None
    with pytest.raises(ConfigError, match="a certificate has fp32"):
        verify.deviations(small_model(), precisions=["auto"])


def test_the_command_prints_a_certificate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = small_model(card=ModelCard(**{**CARD.to_dict(), "name": "certified"}))
    file = tmp_path / "small.safetensors"
    checkpoint.write(file, model.state_dict(), model.config, model.card)
    assert main(["verify", str(file), "--precision", "fp32"]) == 0
    certificate = json.loads(capsys.readouterr().out)
    assert certificate["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert certificate["config"]["in_size"] == 16
    assert certificate["card"]["name"] == "certified"
    assert [(d["form"], d["precision"]) for d in certificate["deviations"]] == [("plain", "fp32"), ("prepared", "fp32")]
    assert certificate["holds"] is True


def test_a_file_that_is_no_model_is_one_line_and_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "empty.safetensors"
    file.write_bytes(b"")
    assert main(["verify", str(file)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
