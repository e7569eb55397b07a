"""Perceptual distance by features: zero for equal pictures, and it does not fall for blur."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms.functional import gaussian_blur, pil_to_tensor

from gpen_core.measures.metrics import psnr
from gpen_core.measures.perceptual import DetectorFeatures, feature_distance

EXAMPLES = Path(__file__).parent.parent / "gpen_core" / "examples"


@pytest.fixture(scope="module")
def face() -> Tensor:
    picture = pil_to_tensor(Image.open(next(iter(sorted(EXAMPLES.glob("*.jpg")))))).float()[None] / 255
    return F.interpolate(picture, (256, 256), mode="area")


@pytest.fixture(scope="module")
def judge():
    return feature_distance(DetectorFeatures())


def test_the_distance_is_the_mean_over_depths_of_one_minus_cosine():
    def features(pictures: Tensor) -> list[Tensor]:
        return [pictures, pictures[:, :, :1, :1] * 2]

    a, b = torch.rand(2, 2, 3, 4, 4)
    expected = torch.zeros(2)
    for n in range(2):
        depths = []
        for left, right in zip(features(a[n : n + 1]), features(b[n : n + 1]), strict=True):
            total, count = 0.0, 0
            for y in range(left.shape[2]):
                for x in range(left.shape[3]):
                    u, v = left[0, :, y, x], right[0, :, y, x]
                    total += 1 - float(u @ v / (u.norm() * v.norm()))
                    count += 1
            depths.append(total / count)
        expected[n] = sum(depths) / 2
    assert torch.allclose(feature_distance(features)(a, b), expected, atol=1e-5)


def test_five_depths_halve_in_size(face):
    assert [f.shape[-1] for f in DetectorFeatures()(face)] == [128, 64, 32, 16, 8]


def test_equal_pictures_are_at_distance_zero_and_damage_grows_it(face, judge):
    assert float(judge(face, face)) == pytest.approx(0, abs=1e-5)
    distances = [float(judge(gaussian_blur(face, 21, s), face)) for s in (0.8, 1.6, 3.2)]
    assert distances == sorted(distances)
    assert distances[0] > 0.005


def test_a_sharp_face_slightly_off_looks_better_than_a_blurred_one_that_psnr_prefers(face, judge):
    blurred, moved = gaussian_blur(face, 21, 2.0), face.roll(1, -1)
    assert float(psnr(blurred, face)) > float(psnr(moved, face)) + 2
    assert float(judge(moved, face)) < float(judge(blurred, face))
