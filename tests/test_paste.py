"""Faces back into their picture."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpen_core.faces.colour import match_crop, match_surroundings
from gpen_core.faces.geometry import invert_affine
from gpen_core.faces.laplacian import laplacian_change
from gpen_core.faces.mask import ellipse_mask, soften
from gpen_core.faces.paste import Window, compose, place, resolve_overlaps
from gpen_core.measures.seam import seam


def window(x: int, y: int, mask: torch.Tensor, value: float = 1.0) -> Window:
    height, width = mask.shape
    return Window(
        rectangle=(x, y, x + width, y + height),
        face=torch.full((3, height, width), value),
        mask=mask,
        claim=torch.ones_like(mask),
    )


def onto(picture_from_crop: list[list[float]]) -> torch.Tensor:
    return invert_affine(torch.tensor(picture_from_crop, dtype=torch.float64))


def test_pasting_twice_gives_the_same_picture() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    windows = [window(5, 6, torch.full((20, 22), 1.0), 0.3)]
    once = compose(picture, windows, resolve_overlaps(windows, "soft"), 255.0)
    twice = compose(once, windows, resolve_overlaps(windows, "soft"), 255.0)
    np.testing.assert_array_equal(once, twice)


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from([np.uint8, np.uint16, np.float32]),
    x=st.floats(-30, 60), y=st.floats(-30, 50), angle=st.floats(-math.pi, math.pi), scale=st.floats(0.05, 2.5),
    seed=st.integers(0, 99), blend=st.sampled_from(["alpha", "laplacian"]),
)  # fmt: skip
def test_outside_the_rectangle_and_where_the_mask_is_zero_nothing_changes(
    kind: type, x: float, y: float, angle: float, scale: float, seed: int, blend: str
) -> None:
    generator = np.random.default_rng(seed)
    picture = generator.random((37, 53, 3), np.float32)
    if kind is not np.float32:
        picture = (picture * np.iinfo(kind).max).astype(kind)
    full_scale = 1.0 if kind is np.float32 else float(np.iinfo(kind).max)
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    mask = soften(ellipse_mask(32)[None], margin=0.05, sigma=0.02)[0]
    placed = place(torch.rand(3, 32, 32), mask, onto([[c, -s, x], [s, c, y]]), 32, (37, 53))
    result = compose(picture, [placed], [placed.mask], full_scale, blend=blend)
    x1, y1, x2, y2 = placed.rectangle
    untouched = np.ones((37, 53), bool)
    untouched[y1:y2, x1:x2] = (placed.mask == 0).numpy()
    np.testing.assert_array_equal(result[untouched], picture[untouched])
    assert result.dtype == picture.dtype


def test_a_face_beyond_the_picture_leaves_it_as_it_is() -> None:
    picture = np.zeros((20, 20, 3), np.uint8)
    placed = place(torch.ones(3, 16, 16), torch.ones(16, 16), onto([[1, 0, 500], [0, 1, 500]]), 16, (20, 20))
    np.testing.assert_array_equal(compose(picture, [placed], [placed.mask], 255.0), picture)


def test_the_window_of_a_face_holds_all_that_its_mask_reaches() -> None:
    affine = onto([[0.7, -0.4, 30], [0.4, 0.7, 10]])
    mask = torch.zeros(64, 64)
    mask[20:40, 10:50] = 1
    placed = place(torch.rand(3, 64, 64), mask, affine, 64, (120, 120))
    whole = place(torch.rand(3, 64, 64), torch.ones(64, 64), affine, 64, (120, 120))
    assert placed.mask.numel() < whole.mask.numel()
    assert placed.mask.sum() == pytest.approx(20 * 40 * 0.65, rel=0.02)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), count=st.integers(2, 5))
def test_shares_of_meeting_faces_sum_to_what_their_masks_cover(seed: int, count: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    places = torch.randint(0, 12, (count, 2), generator=generator).tolist()
    windows = [window(x, y, torch.rand(10, 14, generator=generator)) for x, y in places]
    for overlap in ("soft", "hard"):
        total, left, largest = torch.zeros(40, 40), torch.ones(40, 40), torch.zeros(40, 40)
        for one, share in zip(windows, resolve_overlaps(windows, overlap), strict=True):
            x1, y1, x2, y2 = one.rectangle
            total[y1:y2, x1:x2] += share
            left[y1:y2, x1:x2] *= 1 - one.mask
            largest[y1:y2, x1:x2] = torch.maximum(largest[y1:y2, x1:x2], one.mask)
        expected = 1 - left if overlap == "soft" else largest
        torch.testing.assert_close(total, expected, atol=1e-5, rtol=0)


def test_the_first_of_equal_masks_wins_a_hard_overlap() -> None:
    windows = [window(0, 0, torch.full((4, 4), 0.5)), window(0, 0, torch.full((4, 4), 0.5))]
    first, second = resolve_overlaps(windows, "hard")
    assert bool((first == 0.5).all())
    assert not second.any()


def test_a_soft_overlap_has_no_cut_where_a_hard_one_has() -> None:
    ramp = soften(torch.ones(1, 64, 64), margin=0.2, sigma=0.05)[0]
    ramp = torch.nn.functional.interpolate(ramp[None, None], (64, 64), mode="bilinear")[0, 0]
    picture = np.full((64, 96, 3), 0.5, np.float32)
    left = place(torch.zeros(3, 64, 64), ramp, onto([[1, 0, 0], [0, 1, 0]]), 64, (64, 96))
    right = place(torch.ones(3, 64, 64), ramp, onto([[1, 0, 24], [0, 1, 0]]), 64, (64, 96))
    steps = {}
    for overlap in ("soft", "hard"):
        result = compose(picture, [left, right], resolve_overlaps([left, right], overlap), 1.0)
        steps[overlap] = float(np.abs(np.diff(result[32, :, 0])).max())
    assert steps["soft"] < 0.2
    assert steps["hard"] > 0.6


def test_laplacian_blending_of_a_face_with_itself_changes_nothing() -> None:
    face = torch.rand(3, 41, 67)
    assert float(laplacian_change(face, face, torch.rand(41, 67)).abs().max()) < 1e-5


def test_laplacian_blending_under_a_full_share_gives_the_face() -> None:
    before, face = torch.rand(3, 40, 64), torch.rand(3, 40, 64)
    torch.testing.assert_close(before + laplacian_change(before, face, torch.ones(40, 64)), face, atol=1e-5, rtol=0)


def test_matching_the_surroundings_takes_a_colour_cast_away() -> None:
    crop = torch.rand(1, 3, 128, 128) * 0.2 + 0.4
    cast = crop + torch.tensor([0.15, -0.1, 0.05])[:, None, None]
    mask = soften(ellipse_mask(128)[None], margin=0.05, sigma=0.03)
    mask = torch.nn.functional.interpolate(mask[None], (128, 128), mode="bilinear")[0]
    torch.testing.assert_close(match_surroundings(cast, crop, mask), crop, atol=2e-3, rtol=0)
    torch.testing.assert_close(match_crop(cast, crop, mask), crop, atol=2e-3, rtol=0)


def test_matching_and_bands_lower_the_seam_of_a_face_of_another_tone() -> None:
    generator = torch.Generator().manual_seed(3)
    before = torch.rand(3, 128, 128, generator=generator) * 0.04 + 0.5
    face = before + 0.15
    mask = soften(ellipse_mask(128)[None], margin=0.05, sigma=6 / 512)
    mask = torch.nn.functional.interpolate(mask[None], (128, 128), mode="bilinear")[0]
    matched = match_surroundings(face[None], before[None], mask)[0]
    plain = seam(before + mask[0] * (face - before), mask[0])
    better = seam(before + laplacian_change(before, matched, mask[0]), mask[0])
    assert better < plain
