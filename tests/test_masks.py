"""Masks: shapes, labels, edges."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpen_core.errors import FaceError, InputError
from gpen_core.faces.mask import (
    NOT_FACE,
    REGIONS,
    blur_matrix,
    box_mask,
    ellipse_mask,
    face_mask,
    region_strength,
    soften,
)


def slow_blur(line: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian blur of a line in float64, mirrored at the ends without repeating them."""
    reach = int(np.ceil(6 * sigma))
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    period = 2 * (len(line) - 1)
    index = (np.arange(len(line))[:, None] + offsets) % period
    index = np.where(index >= len(line), period - index, index)
    return np.asarray((line[index] * weights).sum(1) / weights.sum())


@settings(max_examples=20, deadline=None)
@given(size=st.integers(16, 60), sigma=st.floats(0.5, 3.0), seed=st.integers(0, 99))
def test_the_blur_agrees_with_its_slow_form(size: int, sigma: float, seed: int) -> None:
    line = np.random.default_rng(seed).random(size)
    blurred = blur_matrix(size, sigma) @ torch.from_numpy(line).float()
    np.testing.assert_allclose(blurred.numpy(), slow_blur(line, sigma), atol=1e-4)


def test_a_soft_mask_is_within_a_level_of_the_full_sized_blur() -> None:
    mask = torch.zeros(1, 512, 512)
    mask[:, 100:400, 80:430] = 1
    soft = soften(mask, margin=26 / 512, sigma=32**0.5 / 512)
    rows = slow_blur((np.arange(512) >= 100) & (np.arange(512) < 400), 32**0.5)
    columns = slow_blur((np.arange(512) >= 80) & (np.arange(512) < 430), 32**0.5)
    full = torch.nn.functional.interpolate(soft[None], (512, 512), mode="bilinear", align_corners=False)[0, 0]
    np.testing.assert_allclose(full.numpy(), np.outer(rows, columns), atol=1.5 / 255)


def test_the_margin_of_a_crop_stays_out() -> None:
    soft = soften(box_mask(128)[None], margin=0.1, sigma=0.0)[0]
    assert not soft[:13].any()
    assert not soft[:, -13:].any()
    assert bool((soft[13:-13, 13:-13] == 1).all())


def test_the_ellipse_holds_the_landmarks_of_both_templates() -> None:
    from gpen_core.faces.geometry import template

    mask = ellipse_mask(256)
    for name in ("gpen", "ffhq"):
        for x, y in template(name, 256).round().int().tolist():
            assert mask[y, x] == 1


def test_background_hat_and_cloth_are_no_face() -> None:
    labels = torch.arange(19).expand(19, 19)[None]
    mask = face_mask(labels)[0, 0]
    assert [i for i in range(19) if mask[i] == 0] == list(NOT_FACE)


def test_labels_beyond_the_nineteen_are_refused() -> None:
    with pytest.raises(InputError, match=r"0 to 19.*0 to 18"):
        face_mask(torch.arange(20).expand(20, 20)[None])


@pytest.mark.parametrize("bad", [1.5, -0.5, float("nan")])
def test_a_mask_beyond_zero_and_one_is_refused(bad: float) -> None:
    with pytest.raises(FaceError, match="mask"):
        face_mask(torch.full((1, 4, 4), bad))


def test_strength_by_region_touches_its_labels_only() -> None:
    labels = torch.arange(19).expand(19, 19)[None]
    strengths = region_strength(labels, {"eyes": 0.25, "mouth": 0.0})[0, 0]
    for label in range(19):
        expected = 0.25 if label in REGIONS["eyes"] else 0.0 if label in REGIONS["mouth"] else 1.0
        assert strengths[label] == expected


def test_strength_by_region_needs_labels() -> None:
    with pytest.raises(InputError, match="needs a parser that gives CelebAMask-HQ labels"):
        region_strength(torch.ones(1, 4, 4), {"eyes": 0.5})
