"""A picture's own grain, measured and laid over a clean face."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_restorers import Network, face
from torch import Tensor
from torch.nn import functional as F

from gpen_core.faces.grain import make_grain, measure_grain
from gpen_core.options import Blending, RestoreOptions
from gpen_core.restore import FaceRestorer


def scene(size: int = 192) -> Tensor:
    """(3, size, size): shades and edges without any grain."""
    x = torch.linspace(0, 1, size)
    planes = torch.stack(
        [0.25 + 0.4 * x[None] + 0 * x[:, None], 0.6 - 0.3 * x[:, None] + 0 * x[None], 0.4 + 0 * x[None] * x[:, None]]
    )
    planes[:, size // 3 : size // 3 + 3] = 0.1
    planes[:, :, size // 2 : size // 2 + 4] = 0.9
    return planes


def noise(size: int, level: float, *, coarse: float = 0.0, grey: bool = False, seed: int = 0) -> Tensor:
    """(3, size, size) of standard deviation `level`; coarse: of a Gaussian that it is blurred with, pixels."""
    white = torch.randn(1 if grey else 3, 1, size, size, generator=torch.Generator().manual_seed(seed))
    if coarse:
        line = torch.exp(-0.5 * (torch.arange(-6, 7) / coarse).square())
        line /= line.norm()
        white = F.conv2d(F.pad(white, [6] * 4, mode="circular"), (line[:, None] * line[None])[None, None])
    return level * white[:, 0].expand(3, -1, -1)


@pytest.mark.parametrize("level", [4 / 255, 12 / 255])
@pytest.mark.parametrize(("coarse", "grey"), [(0.0, False), (0.0, True), (1.0, False), (1.5, True)])
def test_made_grain_has_the_strength_colour_and_coarseness_of_the_pictures(
    level: float, coarse: float, grey: bool
) -> None:
    given = noise(192, level, coarse=coarse, grey=grey)
    clean = scene().mean(0).expand(3, -1, -1) if grey else scene()
    picture = clean + given
    found = measure_grain(picture)
    assert found is not None
    made = make_grain(found, picture, clean)
    assert float(made.std() / given.std()) == pytest.approx(1, abs=0.2)
    for shift in (1, 2):
        expected = correlation(given, given.roll(shift, 2))
        assert correlation(made[..., shift:], made[..., :-shift]) == pytest.approx(expected, abs=0.16)
    assert correlation(made[0], made[1]) == pytest.approx(correlation(given[0], given[1]), abs=0.12)
    assert bool((made == made[:1]).all()) == grey


def correlation(a: Tensor, b: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])


def test_grain_that_grows_with_brightness_is_made_so() -> None:
    shade = torch.linspace(0.1, 0.9, 256).expand(3, 256, 256)
    picture = shade + shade.sqrt() * noise(256, 0.04)
    found = measure_grain(picture)
    assert found is not None
    made = make_grain(found, picture, shade)
    assert float(made[..., 192:].std() / made[..., :64].std()) == pytest.approx(float((0.8 / 0.2) ** 0.5), rel=0.2)


def test_a_clean_or_tiny_picture_has_next_to_none() -> None:
    assert measure_grain(torch.rand(3, 12, 90)) is None
    assert measure_grain(torch.zeros(3, 64, 64)) is None
    assert measure_grain(torch.full((3, 64, 64), 0.5)) is None
    found = measure_grain(scene())
    assert found is None or found.variance**0.5 < 0.5 / 255


def test_what_has_the_grain_already_gets_no_more() -> None:
    picture = scene() + noise(192, 0.04)
    found = measure_grain(picture)
    assert found is not None
    assert float(make_grain(found, picture, scene() + noise(192, 0.04, seed=1)).std()) < 0.4 * 0.04


def smoothing(x: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(x, [8] * 4, mode="reflect"), 17, 1)


def restored(pixels: np.ndarray, **blending: float) -> np.ndarray:
    options = RestoreOptions(blending=Blending(**blending))
    return FaceRestorer(Network(smoothing, 256)).restore(pixels, options, detections=[face(60, 60, 110)]).picture


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_a_restored_face_is_as_grainy_as_what_surrounds_it_also_along_its_edge(kind: type) -> None:
    flat = torch.full((3, 240, 240), 0.5) + noise(240, 0.05)
    full = 1.0 if kind is np.float32 else float(np.iinfo(kind).max)
    pixels = (flat.permute(1, 2, 0).numpy() * full).astype(kind)
    plain, grainy = (restored(pixels, grain=grain) / full for grain in (0.0, 1.0))
    deviation = np.std(np.stack([grainy[y : y + 12, 20:220] for y in range(0, 228, 12)]), axis=(1, 2, 3))
    assert plain[100:130, 100:130].std() < 0.02
    assert deviation == pytest.approx(np.full(19, 0.05), rel=0.15)
    np.testing.assert_array_equal(grainy[:, :9], pixels[:, :9] / full)


def test_the_same_picture_gets_the_same_grain_and_the_next_frame_another() -> None:
    frames = [((0.5 + noise(240, 0.05, seed=seed)).permute(1, 2, 0).numpy() * 255).astype(np.uint8) for seed in (0, 1)]
    first, again, other = (restored(frame, grain=1.0) for frame in (frames[0], frames[0], frames[1]))
    np.testing.assert_array_equal(first, again)
    inside = np.s_[100:130, 100:130]
    assert abs(np.corrcoef(first[inside].ravel(), other[inside].ravel())[0, 1]) < 0.2
