"""Templates, similarities and crops."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpen_core.errors import FaceError, InputError
from gpen_core.faces.geometry import fit_similarity, invert_affine, resize_affine, scale_of, template, transform
from gpen_core.faces.warp import crop_faces, warp
from gpen_core.images import read_picture

GOLDEN_PICTURE = Path(__file__).parent / "golden" / "astronaut.jpg"
GOLDEN = json.loads((Path(__file__).parent / "golden/face_pipeline/one.json").read_text())


def similarity(angle: float, scale: float, x: float, y: float) -> torch.Tensor:
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    return torch.tensor([[c, -s, x], [s, c, y]], dtype=torch.float64)


def slow_warp(source: np.ndarray, affine: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bilinear samples in float64, zero outside, pixel by pixel."""
    height, width = source.shape
    result = np.zeros(size)
    for row in range(size[0]):
        for column in range(size[1]):
            x, y = affine @ np.array([column, row, 1.0])
            left, top = math.floor(x), math.floor(y)
            for j, wy in ((top, 1 - (y - top)), (top + 1, y - top)):
                for i, wx in ((left, 1 - (x - left)), (left + 1, x - left)):
                    if 0 <= j < height and 0 <= i < width:
                        result[row, column] += wx * wy * source[j, i]
    return result


@pytest.mark.parametrize("size", [256, 512, 1024, 2048])
def test_gpens_template_is_the_references(size: int) -> None:
    expected = torch.tensor(GOLDEN["reference_points"][str(size)], dtype=torch.float64)
    torch.testing.assert_close(template("gpen", size), expected, atol=1e-3, rtol=0)


def test_an_unknown_template_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'dlib'.*gpen, ffhq"):
        template("dlib", 512)


def test_the_fit_is_the_references_similarity() -> None:
    landmarks = torch.tensor(GOLDEN["landmarks"])[None]
    inverse = invert_affine(fit_similarity(landmarks, template("gpen", 512)))[0]
    torch.testing.assert_close(inverse, torch.tensor(GOLDEN["inverse_affine"], dtype=torch.float64), atol=1e-3, rtol=0)


@settings(max_examples=40, deadline=None)
@given(
    angle=st.floats(-math.pi, math.pi),
    scale=st.floats(0.05, 40),
    x=st.floats(-5000, 5000),
    y=st.floats(-5000, 5000),
    method=st.sampled_from(["least_squares", "least_median"]),
)
def test_a_face_under_a_similarity_is_brought_back_to_the_template(
    angle: float, scale: float, x: float, y: float, method: str
) -> None:
    target = template("gpen", 256)
    landmarks = transform(similarity(angle, scale, x, y), target)
    affine = fit_similarity(landmarks[None], target, method)[0]
    torch.testing.assert_close(transform(affine, landmarks), target, atol=1e-4, rtol=0)
    assert scale_of(affine) == pytest.approx(1 / scale, rel=1e-5)


def test_the_fit_never_mirrors_a_face() -> None:
    target = template("gpen", 256)
    mirrored = target * torch.tensor([-1.0, 1.0], dtype=torch.float64)
    affine = fit_similarity(mirrored[None], target)[0]
    assert torch.linalg.det(affine[:, :2]) > 0


def test_one_landmark_far_off_tilts_least_squares_but_not_the_least_median() -> None:
    target = template("gpen", 256)
    landmarks = target.clone()
    landmarks[4] += torch.tensor([60.0, -40.0])
    error = [
        float((transform(fit_similarity(landmarks[None], target, method)[0], target) - target).abs().max())
        for method in ("least_squares", "least_median")
    ]
    assert error[0] > 5
    assert error[1] < 1e-6


@pytest.mark.parametrize("method", ["least_squares", "least_median"])
def test_landmarks_in_one_point_are_refused(method: str) -> None:
    good = template("gpen", 64)
    with pytest.raises(FaceError, match="face 1 lie in one point"):
        fit_similarity(torch.stack([good, torch.full((5, 2), 7.0, dtype=torch.float64)]), good, method)


def test_a_singular_map_is_refused() -> None:
    with pytest.raises(FaceError, match="singular"):
        invert_affine(torch.tensor([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0]]))


def test_resizing_a_crop_keeps_pixel_areas_in_place() -> None:
    affine = resize_affine(similarity(0.0, 1.0, 0.0, 0.0), 64, 128)
    corners = torch.tensor([[-0.5, -0.5], [63.5, 63.5]], dtype=torch.float64)
    expected = torch.tensor([[-0.5, -0.5], [127.5, 127.5]], dtype=torch.float64)
    torch.testing.assert_close(transform(affine, corners), expected)


@settings(max_examples=25, deadline=None)
@given(
    angle=st.floats(-math.pi, math.pi), scale=st.floats(0.2, 1.2), x=st.floats(-12, 12), y=st.floats(-12, 12),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_warping_agrees_with_its_slow_form(angle: float, scale: float, x: float, y: float, seed: int) -> None:
    source = torch.rand(1, 9, 13, generator=torch.Generator().manual_seed(seed))
    affine = similarity(angle, scale, x, y)
    expected = slow_warp(source[0].double().numpy(), affine.numpy(), (8, 11))
    np.testing.assert_allclose(warp(source, affine, (8, 11))[0].numpy(), expected, atol=2e-5)


def lines(picture: torch.Tensor) -> float:
    """Mean absolute step between neighbours in a row, away from the edge."""
    inner = picture[:, 8:-8, 8:-8]
    return float((inner[..., 1:] - inner[..., :-1]).abs().mean())


def test_cubic_warping_keeps_lines_that_bilinear_blurs() -> None:
    columns = torch.arange(64) * 2 * math.pi / 4
    source = (0.5 + 0.3 * torch.sin(columns)).expand(3, 64, 64).contiguous()
    moved = similarity(0, 1, 0.5, 0)
    bilinear, cubic = warp(source, moved, (64, 64)), warp(source, moved, (64, 64), cubic=True)
    exact = (0.5 + 0.3 * torch.sin(columns + math.pi / 4)).expand(3, 64, 64)
    assert lines(bilinear) < 0.75 * lines(exact)
    assert lines(cubic) > 0.85 * lines(exact)


@pytest.mark.parametrize("step", [0.4, 0.7, 1.3, 1.7, 3.0])
def test_cubic_warping_is_used_where_it_is_closer_to_the_mean_over_a_pixel(step: float) -> None:
    photograph = read_picture(GOLDEN_PICTURE).pixels
    source = torch.from_numpy(photograph.copy()).permute(2, 0, 1).float() / 255
    length = min(source.shape[1:])
    size, fine = int(0.8 * length / step), 4
    affine = similarity(0.07, step, 0.1 * length, 0.05 * length)
    finer = affine.clone()
    finer[:, :2] /= fine
    finer[:, 2] -= (finer[:, :2] * (fine - 1) / 2).sum(1)
    many = warp(source, finer, (size * fine, size * fine), antialias=False, cubic=True)
    wanted = torch.nn.functional.avg_pool2d(many, fine)
    bilinear, cubic = (
        float((warp(source, affine, (size, size), cubic=c) - wanted)[:, 4:-4, 4:-4].square().mean())
        for c in (False, True)
    )
    assert cubic == bilinear if 1 < step <= 1.6 else cubic < 0.8 * bilinear


def test_cubic_warping_stays_in_range_and_repeats_the_edge() -> None:
    source = (torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(5)) > 0.5).float()
    warped = warp(source, similarity(0.3, 0.7, 2, -3), (24, 24), cubic=True)
    assert float(warped.amin()) >= 0
    assert float(warped.amax()) <= 1
    torch.testing.assert_close(
        warp(torch.full((3, 9, 9), 0.4), similarity(0.3, 0.7, 2, -3), (24, 24), cubic=True),
        torch.full((3, 24, 24), 0.4),
    )
    torch.testing.assert_close(warp(source, similarity(0, 1, 0, 0), (16, 16), cubic=True), source)


def test_a_crop_with_the_identity_is_the_picture_itself() -> None:
    image = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    crops = crop_faces(image, similarity(0.0, 1.0, 0.0, 0.0)[None], 32)
    assert torch.equal(crops[0].round().byte(), image)


def test_beyond_the_edge_a_crop_is_black_or_mirrored() -> None:
    image = torch.rand(3, 16, 16)
    shifted = similarity(0.0, 1.0, 8.0, 0.0)[None]
    black, mirrored = (crop_faces(image, shifted, 16, border)[0] for border in ("black", "reflect"))
    assert not black[..., :8].any()
    torch.testing.assert_close(mirrored[..., :8], image[..., 1:9].flip(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(mirrored[..., 8:], image[..., :8], atol=1e-5, rtol=0)


def test_a_large_face_is_filtered_before_it_is_sampled() -> None:
    stripes = (torch.arange(256) % 2).float().expand(3, 256, 256).contiguous()
    small = similarity(0.0, 1 / 4, 0.0, 0.0)[None]
    plain, filtered = (crop_faces(stripes, small, 60, antialias=on)[0, :, 4:-4, 4:-4] for on in (False, True))
    assert float(filtered.sub(0.5).abs().max()) < 0.06
    assert float(plain.sub(0.5).abs().max()) > 0.4


def test_landmarks_of_no_face_at_all_are_refused_before_memory_is_asked_for() -> None:
    with pytest.raises(FaceError, match="no face's"):
        crop_faces(torch.rand(3, 16, 16), similarity(0.0, 5e-4, 0.0, 0.0)[None], 64)
