"""The figures about one restored face: what they mean, and that none costs more than it is worth."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gpen_core.faces.mask import box_mask, ellipse_mask, soften
from gpen_core.faces.types import Detection
from gpen_core.images import Picture
from gpen_core.images.planes import shrunk_planes
from gpen_core.measures.figures import colour_shift, face_figures, sharpness
from gpen_core.measures.seam import LONGEST_SIDE, seam
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
    left = replace(restored_face(noise, plain((0.5, 0.5, 0.5), 128), mask), strength=0.0)
    assert "warnings" not in face_figures(left, PICTURE)
    assert "warnings" not in face_figures(restored_face(noise, 0.97 * noise, mask), PICTURE)
    assert set(face_figures(restored_face(None, None, mask), PICTURE)) == {"seam"}


def test_the_seam_of_a_cut_is_high_and_of_an_untouched_picture_about_one() -> None:
    distance = torch.hypot(*torch.meshgrid(torch.arange(96) - 47.5, torch.arange(96) - 47.5, indexing="ij"))
    noise = torch.rand(3, 96, 96, generator=torch.Generator().manual_seed(1)) * 0.02
    hill = noise + 0.8 - 0.008 * distance
    mask = soften(box_mask(96)[None], margin=0.2, sigma=0.03)[0]
    mask = torch.nn.functional.interpolate(mask[None, None], (96, 96), mode="bilinear")[0, 0]
    untouched = seam(hill, mask)
    cut = seam(hill + 0.5 * (mask > 0.5), mask)
    assert 0.8 < untouched < 1.25
    assert cut > 2 * untouched


def test_a_mask_without_an_edge_has_no_seam() -> None:
    assert np.isnan(seam(torch.rand(3, 8, 8), torch.ones(8, 8)))


def ellipse_of(size: int) -> torch.Tensor:
    soft = soften(ellipse_mask(256)[None], margin=0.05, sigma=12 / 512)
    return F.interpolate(soft[None], (size, size), mode="bilinear", antialias=True)[0, 0]


def blotches(size: int) -> torch.Tensor:
    """A picture with structure of all sizes down to a sixteenth, the same at every `size`."""
    source = torch.Generator().manual_seed(5)
    layers = [torch.rand(1, 3, n, n, generator=source) / n**0.5 for n in (3, 6, 16)]
    return sum(F.interpolate(layer, (size, size), mode="bicubic", antialias=True) for layer in layers)[0].clamp(0, 1)


def slow_seam(picture: torch.Tensor, mask: torch.Tensor) -> float:
    """The definition, by pooling layers whose windows grow with the face."""
    edge = (mask > 0.25) & (mask < 0.75)
    slope = torch.hypot(*torch.gradient(mask))
    width = max(1, round(float(edge.sum() / slope.sum())))
    near = F.max_pool2d(edge.float()[None, None], 4 * width + 1, 1, 2 * width)[0, 0].bool()
    blurred = mask[None, None]
    for _ in range(2):
        blurred = F.avg_pool2d(blurred, 4 * width + 1, 1, 2 * width, count_include_pad=False)
    y, x = torch.gradient(blurred[0, 0])
    norm = torch.hypot(x, y)
    grey = (picture * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0)
    grey_y, grey_x = torch.gradient(grey)
    across = (grey_x * x + grey_y * y) / norm.clamp_min(1e-12)
    patch = max(3, round(len(mask) / 12) // 2 * 2 + 1)

    def coherent(band: torch.Tensor) -> float:
        planes = (across * band, band.float())
        total, count = (F.avg_pool2d(plane[None, None], patch, 1, patch // 2)[0, 0] for plane in planes)
        return float((total / count.clamp_min(1e-12)).abs()[band].mean())

    return coherent(edge & (norm > 1e-6)) / coherent(near & (mask > 0.75) & (norm > 1e-6))


@pytest.mark.parametrize("size", [24, 61, LONGEST_SIDE])
def test_the_seam_of_a_small_face_is_the_definition(size: int) -> None:
    mask = ellipse_of(size)
    picture = blotches(size) + 0.1 * mask
    assert seam(picture, mask) == pytest.approx(slow_seam(picture, mask), rel=1e-4)


def test_the_seam_of_a_large_face_is_that_of_the_same_face_small() -> None:
    small = seam(blotches(128) + 0.1 * ellipse_of(128), ellipse_of(128))
    for size in (300, 1000):
        levels = ((blotches(size) + 0.1 * ellipse_of(size)).clamp(0, 1) * 255).round().byte()
        region = shrunk_planes(levels.permute(1, 2, 0).contiguous().numpy(), LONGEST_SIDE)
        assert seam(region, ellipse_of(size)) == pytest.approx(small, rel=0.05)


def test_colour_shift_by_every_second_pixel_is_that_of_all() -> None:
    before, after = blotches(256), (blotches(256) * 0.9 + 0.02).clamp(0, 1)
    weight = ellipse_mask(256)
    linear = [torch.where(p <= 0.04045, p / 12.92, ((p + 0.055) / 1.055) ** 2.4) for p in (before, after)]
    means = [((p * weight).sum((1, 2)) / weight.sum())[:, None, None].expand(3, 8, 8) for p in linear]
    plain_colours = [torch.where(m <= 0.0031308, m * 12.92, 1.055 * m ** (1 / 2.4) - 0.055) for m in means]
    assert colour_shift(before, after) == pytest.approx(colour_shift(*plain_colours), abs=0.05)


def test_figures_of_a_face_of_two_thousand_pixels_cost_little_more_than_of_a_small_one() -> None:
    def seconds(size: int) -> float:
        picture = Picture(pixels=np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8))
        face = RestoredFace(
            detection=Detection(box=(0, 0, size, size), landmarks=LANDMARKS, score=0.9),
            affine=torch.eye(2, 3, dtype=torch.float64),
            rectangle=(0, 0, size, size),
            mask=ellipse_of(size),
            strength=1.0,
            crop=torch.rand(3, 64, 64),
            restored=torch.rand(3, 64, 64),
        )
        taken = []
        for _ in range(3):
            began = time.process_time()
            face_figures(face, picture)
            taken.append(time.process_time() - began)
        return min(taken)

    # A hundred times the pixels; windows that grew with the face took ten thousand times as long.
    assert seconds(2000) < 30 * seconds(200)
