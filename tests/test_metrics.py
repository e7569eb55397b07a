"""The figures against scikit-image's or OpenCV's own numbers, recomputed slowly where there is no library."""

from __future__ import annotations

import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gpen_core.errors import HashMismatchError, HubError, InputError, MissingPackageError, PictureError
from gpen_core.images import read_picture
from gpen_core.measures import catalogue
from gpen_core.measures.catalogue import Needs
from gpen_core.measures.frechet import (
    Gathering,
    Statistics,
    frechet_distance,
    inception,
    read_statistics,
    write_statistics,
)
from gpen_core.measures.metrics import detail, identity_similarity, psnr, sharpness, ssim, ssim_basicsr


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
    assert float(ssim(noisy, clean)) == pytest.approx(np.mean(values), rel=1e-6)


def test_sharpness_and_detail_tell_blur_from_noise():
    noisy, clean = pair(64)
    smooth = torch.nn.functional.avg_pool2d(clean, 3, 1, 1)
    assert float(sharpness(clean, clean)) == pytest.approx(1)
    assert float(detail(clean, clean)) == pytest.approx(1)
    assert float(sharpness(smooth, clean)) < 0.6
    other = torch.rand(clean.shape, generator=torch.Generator().manual_seed(1), dtype=clean.dtype)
    assert float(detail(other, clean)) == pytest.approx(0, abs=0.05)
    assert 0.5 < float(detail(noisy, clean)) < 1


def test_identity_is_the_cosine_of_embeddings():
    noisy, clean = pair()
    assert float(identity_similarity(lambda p: p.mean(dim=(2, 3)), clean, clean)) == pytest.approx(1)
    assert float(identity_similarity(lambda p: p.mean(dim=(2, 3)), noisy, clean)) <= 1


def test_pictures_of_two_shapes_are_refused():
    with pytest.raises(InputError, match="both must be one"):
        psnr(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 9, 9))


def real_pair() -> tuple[torch.Tensor, torch.Tensor]:
    """The shipped example, and it blurred and noisy, in whole levels."""
    import gpen_core

    path = f"{gpen_core.__path__[0]}/examples/kept-in-a-drawer.jpg"
    clean = torch.from_numpy(read_picture(path).pixels[:160, :144].copy()).permute(2, 0, 1)[None].float() / 255
    soft = F.avg_pool2d(clean, 3, 1, 1) + 0.02 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(4))
    return (soft.clamp(0, 1) * 255).round() / 255, clean


@pytest.mark.parametrize("pictures", [lambda: pair(64), real_pair])
def test_figures_are_those_of_other_libraries(pictures):
    skimage = pytest.importorskip("skimage.metrics")
    result, original = pictures()
    a, b = (p[0].permute(1, 2, 0).double().numpy() for p in (original, result))
    assert float(psnr(result, original)) == pytest.approx(skimage.peak_signal_noise_ratio(a, b, data_range=1), rel=1e-4)
    theirs = skimage.structural_similarity(a, b, channel_axis=2, data_range=1)
    assert float(ssim(result, original)) == pytest.approx(theirs, rel=1e-4)
    assert float(ssim_basicsr(result, original)) == pytest.approx(slow_gaussian_ssim(result, original), rel=1e-4)
    theirs = skimage.structural_similarity(
        a, b, channel_axis=2, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert float(ssim_basicsr(result, original)) == pytest.approx(theirs, rel=1e-4)


def slow_gaussian_ssim(result: torch.Tensor, original: torch.Tensor) -> float:
    """By scipy's filters, as BasicSR does with OpenCV's."""
    scipy = pytest.importorskip("scipy.ndimage")
    values = []
    for a, b in zip(result[0].double().numpy() * 255, original[0].double().numpy() * 255, strict=True):

        def mean(x: np.ndarray) -> np.ndarray:
            return scipy.gaussian_filter(x, 1.5, radius=5, mode="mirror")[5:-5, 5:-5]

        ma, mb = mean(a), mean(b)
        va, vb, cov = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        values.append((((2 * ma * mb + c1) * (2 * cov + c2)) / ((ma**2 + mb**2 + c1) * (va + vb + c2))).mean())
    return float(np.mean(values))


def test_equal_and_constant_pictures_have_an_answer():
    _, clean = pair(32)
    flat = torch.full_like(clean, 0.5)
    for figure in (ssim, ssim_basicsr, sharpness, detail):
        assert float(figure(clean, clean)) == pytest.approx(1)
    assert float(ssim(flat, flat)) == float(ssim_basicsr(flat, flat)) == 1
    assert math.isnan(float(sharpness(flat, flat)))
    assert math.isnan(float(detail(flat, flat)))
    assert float(detail(flat, clean)) == 0
    with pytest.raises(InputError, match="smaller than SSIM's 11 px"):
        ssim_basicsr(clean[..., :9, :9], clean[..., :9, :9])


def test_a_frechet_distance_is_that_of_scipy_and_of_torchmetrics():
    linalg = pytest.importorskip("scipy.linalg")
    fid = pytest.importorskip("torchmetrics.image.fid")
    source = torch.Generator().manual_seed(6)
    sets = [torch.rand(40, 12, generator=source, dtype=torch.float64) * s for s in (1.0, 1.4)]
    held = []
    for features in sets:
        gathering = Gathering()
        for batch in features.split(7):
            gathering.add(batch)
        held.append(gathering.statistics())
    mine = frechet_distance(*held)
    a, b = (np.cov(f.numpy().T) for f in sets)
    shift = np.square(sets[0].mean(0).numpy() - sets[1].mean(0).numpy()).sum()
    assert mine == pytest.approx(shift + np.trace(a + b - 2 * linalg.sqrtm(a @ b).real), rel=1e-3)

    class Passing(nn.Module):
        num_features = 12

        def forward(self, x):
            return x.flatten(1)[:, :12]

    theirs = fid.FrechetInceptionDistance(feature=Passing(), input_img_size=(1, 1, 12), normalize=True)
    theirs.set_dtype(torch.float64)
    for features, real in zip(sets, (True, False), strict=True):
        theirs.update(features[:, None, None], real=real)
    assert mine == pytest.approx(float(theirs.compute()), rel=1e-3)
    assert frechet_distance(held[0], held[0]) == pytest.approx(0, abs=1e-9)


def test_one_picture_has_no_frechet_distance():
    gathering = Gathering()
    gathering.add(torch.rand(1, 4))
    with pytest.raises(PictureError, match="FID was asked of 1 picture"):
        gathering.statistics()


def test_statistics_are_read_from_either_kind_of_file(tmp_path):
    held = Statistics(mean=torch.rand(3).double(), covariance=torch.eye(3).double())
    write_statistics(tmp_path / "own.npz", held)
    torch.save({"mean": held.mean[None], "cov": held.covariance}, tmp_path / "basicsr.pth")
    for name in ("own.npz", "basicsr.pth"):
        assert frechet_distance(read_statistics(tmp_path / name), held) == pytest.approx(0, abs=1e-9)
    np.savez(tmp_path / "other.npz", features=np.zeros(3))
    with pytest.raises(InputError, match=r"other.npz holds features; FID's statistics are mu"):
        read_statistics(tmp_path / "other.npz")
    with pytest.raises(InputError, match="statistics of 3 and of 2 features"):
        frechet_distance(held, Statistics(mean=torch.zeros(2).double(), covariance=torch.eye(2).double()))


def test_lpips_is_that_of_torchmetrics(monkeypatch):
    pytest.importorskip("lpips")
    lpip = pytest.importorskip("torchmetrics.functional.image.lpips")
    torchvision = pytest.importorskip("torchvision.models")
    torch.manual_seed(8)
    features = torchvision.alexnet(weights=None).features
    monkeypatch.setattr(torchvision, "alexnet", lambda **_: SimpleNamespace(features=features))
    result, original = real_pair()
    mine = catalogue.lpips(Needs())(result, original)
    theirs = lpip._LPIPS(net="alex").eval()
    with torch.no_grad():
        wanted = theirs(result, original, normalize=True)
    assert float(mine) == pytest.approx(float(wanted), rel=1e-4)
    assert float(catalogue.lpips(Needs())(original, original)) == 0


def test_dists_is_its_definition(monkeypatch):
    module = pytest.importorskip("torchmetrics.functional.image.dists")
    torchvision = pytest.importorskip("torchvision.models")
    torch.manual_seed(9)
    features = torchvision.vgg16(weights=None).features.eval()
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    monkeypatch.setattr(module, "vgg16", lambda **_: SimpleNamespace(features=features))
    result, original = (picture[..., :96, :96] for picture in real_pair())
    assert float(catalogue.dists(Needs())(result, original)) == pytest.approx(
        slow_dists(features, result, original), rel=1e-4
    )
    assert float(catalogue.dists(Needs())(original, original)) == pytest.approx(0, abs=1e-5)


def slow_dists(features: nn.Module, result: torch.Tensor, original: torch.Tensor) -> float:
    """Ding et al. 2020, equations 5 to 8, with the heads that torchmetrics ships."""
    from torchmetrics.functional.image import dists as module

    heads = torch.load(module._PATH_WEIGHT_DISTS, weights_only=True)
    alpha, beta = heads["alpha"].flatten(), heads["beta"].flatten()
    taps = np.hanning(5)[1:-1]
    kernel = torch.from_numpy(np.outer(taps, taps) / np.outer(taps, taps).sum()).float()

    def stages(x: torch.Tensor) -> list[torch.Tensor]:
        held = [x]
        mean, deviation = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
        x = (x - mean) / deviation
        for index, layer in enumerate(features):
            if isinstance(layer, nn.MaxPool2d):
                if index == 30:
                    break
                held.append(x)
                weight = kernel[None, None].expand(x.shape[1], 1, -1, -1)
                x = (F.conv2d(x.square(), weight, stride=2, padding=1, groups=x.shape[1]) + 1e-12).sqrt()
            else:
                x = F.relu(x) if isinstance(layer, nn.ReLU) else layer(x)
        return [*held, x]

    total, first = 0.0, 0
    with torch.no_grad():
        for a, b in zip(stages(result), stages(original), strict=True):
            channels = a.shape[1]
            ma, mb = a.mean((2, 3)), b.mean((2, 3))
            va, vb = ((x - m[..., None, None]).square().mean((2, 3)) for x, m in ((a, ma), (b, mb)))
            cov = (a * b).mean((2, 3)) - ma * mb
            part = slice(first, first + channels)
            total += float((alpha[part] * (2 * ma * mb + 1e-6) / (ma**2 + mb**2 + 1e-6)).sum())
            total += float((beta[part] * (2 * cov + 1e-6) / (va + vb + 1e-6)).sum())
            first += channels
    return 1 - total / float(alpha.sum() + beta.sum())


def test_weights_that_are_not_at_hand_are_named(tmp_path, monkeypatch):
    pytest.importorskip("lpips")
    (tmp_path / "checkpoints").mkdir()
    before = torch.hub.get_dir()
    with pytest.raises(HubError, match=r"LPIPS needs alexnet-owt-7be5be79.pth, which is not in .*checkpoints"):
        catalogue.lpips(Needs(weights=tmp_path))
    (tmp_path / "checkpoints" / "alexnet-owt-7be5be79.pth").write_bytes(b"other")
    with pytest.raises(HashMismatchError, match="is another file than its name says"):
        catalogue.lpips(Needs(weights=tmp_path))

    def offline(*_, **__):
        raise OSError("no net here")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    torch.hub.set_dir(str(tmp_path / "empty"))
    try:
        with pytest.raises(HubError, match=r"FID needs weights-inception.*no net here.*--weights FOLDER"):
            inception()
    finally:
        torch.hub.set_dir(before)
    assert torch.hub.get_dir() == before


def test_measures_of_a_package_with_another_licence_are_asked_only_where_it_is(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(MissingPackageError, match=r"musiq .* non-commercial .*pip install pyiqa"):
        catalogue.make(("musiq",), Needs())
    with pytest.raises(InputError, match=r"no measure is called 'beauty'; there are psnr"):
        catalogue.make(("beauty",), Needs())

    class Brightness(torch.nn.Module):
        def forward(self, picture):
            return picture.mean().reshape(1, 1)

    asked = []
    installed = SimpleNamespace(create_metric=lambda name, device: asked.append(name) or Brightness())
    monkeypatch.setitem(sys.modules, "pyiqa", installed)
    faces = torch.rand(3, 3, 32, 32)
    measures = catalogue.make(("niqe", "maniqa"), Needs())
    torch.testing.assert_close(measures["niqe"](faces, faces), faces.mean((1, 2, 3)))
    assert asked == ["niqe", "maniqa"]

    def offline(*_, **__):
        raise OSError("no net here")

    installed.create_metric = offline
    with pytest.raises(HubError, match=r"niqe: pyiqa cannot fetch its weights \(no net here\)"):
        catalogue.make(("niqe",), Needs())
