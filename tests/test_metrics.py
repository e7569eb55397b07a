"""The figures against scikit-image's or OpenCV's own numbers, recomputed slowly where there is no library."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from gpen_core.errors import InputError, PictureError
from gpen_core.measures.evaluation import Extras, compare_folders
from gpen_core.measures.metrics import detail, identity_similarity, psnr, sharpness, ssim


def pair(size: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    """An original in whole levels, and it with noise."""
    source = torch.Generator().manual_seed(2)
    clean = (torch.rand(1, 3, size, size, generator=source) * 255).round() / 255
    noisy = ((clean + 0.1 * torch.randn(1, 3, size, size, generator=source)).clamp(0, 1) * 255).round() / 255
    return noisy, clean


def test_psnr_is_the_definition():
    noisy, clean = pair()
    error = float(((noisy.double() - clean.double()) * 255).square().mean())
    assert float(psnr(noisy, clean)) == pytest.approx(10 * np.log10(255**2 / error), rel=1e-9)
    assert float(psnr(clean, clean)) > 130


def test_ssim_is_the_mean_over_windows_computed_one_by_one():
    noisy, clean = pair(12)
    a, b = noisy[0].double().numpy(), clean[0].double().numpy()
    values = []
    for channel in range(3):
        for y in range(12 - 6):
            for x in range(12 - 6):
                p, q = a[channel, y : y + 7, x : x + 7], b[channel, y : y + 7, x : x + 7]
                covariance = np.cov(p.ravel(), q.ravel())
                top = (2 * p.mean() * q.mean() + 1e-4) * (2 * covariance[0, 1] + 9e-4)
                bottom = (p.mean() ** 2 + q.mean() ** 2 + 1e-4) * (covariance[0, 0] + covariance[1, 1] + 9e-4)
                values.append(top / bottom)
    assert float(ssim(noisy, clean)) == pytest.approx(np.mean(values), rel=1e-9)


def test_sharpness_and_detail_tell_blur_from_noise():
    noisy, clean = pair(64)
    smooth = torch.nn.functional.avg_pool2d(clean, 3, 1, 1)
    assert float(sharpness(clean, clean)) == pytest.approx(1)
    assert float(detail(clean, clean)) == pytest.approx(1)
    assert float(sharpness(smooth, clean)) < 0.6
    assert float(detail(torch.rand_like(clean), clean)) == pytest.approx(0, abs=0.05)
    assert 0.5 < float(detail(noisy, clean)) < 1


def test_identity_is_the_cosine_of_embeddings():
    noisy, clean = pair()
    assert float(identity_similarity(lambda p: p.mean(dim=(2, 3)), clean, clean)) == pytest.approx(1)
    assert float(identity_similarity(lambda p: p.mean(dim=(2, 3)), noisy, clean)) <= 1


def test_pictures_of_two_shapes_are_refused():
    with pytest.raises(InputError, match="both must be one"):
        psnr(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 9, 9))


def save(folder, name, picture):
    folder.mkdir(exist_ok=True)
    levels = (picture[0] * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(levels).save(folder / name)


def test_gpen_evaluate_pairs_by_stem_and_reports_what_is_missing(tmp_path, capsys):
    from gpen_core.cli.main import main

    noisy, clean = pair()
    save(tmp_path / "clean", "one.png", clean)
    save(tmp_path / "clean", "two.png", clean)
    save(tmp_path / "restored", "one.png", clean)
    save(tmp_path / "damaged", "one.png", noisy)
    save(tmp_path / "damaged", "two.png", noisy)
    folders = [str(tmp_path / name) for name in ("restored", "clean")]
    status = main(["evaluate", *folders, "--degraded", str(tmp_path / "damaged"), "--json", str(tmp_path / "f.json")])
    shown = capsys.readouterr().out
    assert status == 1
    assert "missing in" in shown
    assert "two" in shown
    report = json.loads((tmp_path / "f.json").read_text())
    assert report["restored"]["means"]["sharpness"] == pytest.approx(1)
    assert report["restored"]["means"]["perceptual"] == pytest.approx(0, abs=1e-6)
    assert "perceptual distance: 0.000 of the degraded's" in shown
    assert report["degraded"]["means"]["psnr"] == pytest.approx(float(psnr(noisy, clean)), abs=1e-6)


def test_folders_without_a_common_picture_are_refused(tmp_path):
    noisy, clean = pair()
    save(tmp_path / "a", "one.png", clean)
    save(tmp_path / "b", "two.png", noisy)
    with pytest.raises(PictureError, match="share no picture"):
        compare_folders(tmp_path / "a", tmp_path / "b", Extras())
