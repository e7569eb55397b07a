"""Degradation: who draws what, and that each step does what it says."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from gpen_core.data import PRESETS, Degradation, Pass, Ranges, draws, find_preset
from gpen_core.data.blur import blur, gaussian_kernel, motion_kernel
from gpen_core.data.compression import jpeg_blocks
from gpen_core.data.draws import Draw, noise
from gpen_core.data.resample import resample, with_border
from gpen_core.errors import ConfigError, InputError


def scene(count: int = 2, size: int = 64, seed: int = 0) -> Tensor:
    """Smooth colour fields with an edge: enough like a picture for JPEG."""
    source = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 6, 6, generator=source)
    fields = torch.nn.functional.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)
    fields[..., size // 2 :, : size // 3] *= 0.5
    return fields


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_sample_does_not_depend_on_its_batch(preset):
    pictures = scene(3)
    together = Degradation(preset).degrade(pictures, 7, [4, 9, 2])
    alone = torch.cat([Degradation(preset).degrade(p[None], 7, [i]) for p, i in zip(pictures, (4, 9, 2), strict=True)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_seed_and_index_decide_what_happens():
    pictures = scene(1)
    degradation = Degradation("second-order")
    once = degradation.degrade(pictures, 1, [5])
    assert torch.equal(once, degradation.degrade(pictures, 1, [5]))
    assert not torch.equal(once, degradation.degrade(pictures, 1, [6]))
    assert not torch.equal(once, degradation.degrade(pictures, 2, [5]))


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_results_stay_pictures(preset):
    damaged, clean = Degradation(preset).pairs(scene(4, 48), 3, range(4))
    assert damaged.shape == clean.shape == (4, 3, 48, 48)
    assert torch.isfinite(damaged).all()
    assert damaged.min() >= 0
    assert damaged.max() <= 1


def test_pairs_are_mirrored_and_greyed_together():
    always = Ranges(flip=1.0, grey_pair=1.0)
    pictures = scene(1)
    damaged, clean = Degradation(always).pairs(pictures, 0, [0])
    luma = (pictures * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    assert torch.allclose(clean, luma.flip(-1).expand_as(clean), atol=1e-6)
    assert torch.equal(damaged, clean)


def test_blur_agrees_with_a_sum_over_neighbours():
    picture = scene(1, 12).double()
    kernel = gaussian_kernel((0.6, 1.4), 0.7, 5)
    fast = blur(picture.float(), [12], kernel[None])
    slow = torch.zeros_like(picture)

    def mirror(i: int) -> int:
        return abs(i) if i < 12 else 22 - i

    for y in range(12):
        for x in range(12):
            for dy in range(-2, 3):
                for dx in range(-2, 3):
                    weight = float(kernel[dy + 2, dx + 2])
                    slow[..., y, x] += weight * picture[..., mirror(y + dy), mirror(x + dx)]
    assert torch.allclose(fast.double(), slow, atol=1e-5)


@pytest.mark.parametrize("kernel", [gaussian_kernel((2.0, 0.5), 1.0, 15), motion_kernel(7.0, 0.3, 15)])
def test_kernels_keep_the_mean(kernel):
    assert float(kernel.sum()) == pytest.approx(1, abs=1e-6)
    assert (kernel >= 0).all()


def test_area_resampling_by_two_is_the_mean_of_four():
    picture = scene(1, 16)
    expected = torch.nn.functional.avg_pool2d(picture, 2)
    assert torch.allclose(resample(picture, [16], [8], ["area"]), expected, atol=1e-6)


def test_linear_resampling_is_bilinear_interpolation():
    picture = scene(1, 16)
    expected = torch.nn.functional.interpolate(picture, (40, 40), mode="bilinear", align_corners=False)
    assert torch.allclose(resample(picture, [16], [40], ["linear"]), expected, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(4, 20), min_size=1, max_size=3), new=st.integers(3, 30))
def test_what_lies_beyond_a_picture_never_leaks_in(sizes, new):
    extent = max(sizes)
    pixels = torch.full((len(sizes), 1, extent, extent), float("nan"))
    for i, size in enumerate(sizes):
        pixels[i, :, :size, :size] = i
    result = resample(pixels, sizes, [new] * len(sizes), ["area"] * len(sizes))
    for i in range(len(sizes)):
        assert torch.allclose(result[i], torch.full_like(result[i], float(i)), atol=1e-5)
    assert torch.isfinite(with_border(pixels, sizes, 2, extent + 4, "reflect")).all()


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_both_jpeg_back_ends_agree(quality):
    picture = scene(1, 40)
    buffer = io.BytesIO()
    levels = (picture[0] * 255).round().byte().permute(1, 2, 0).numpy()
    Image.fromarray(levels).save(buffer, "JPEG", quality=quality)
    pillow = torch.from_numpy(np.array(Image.open(buffer))).permute(2, 0, 1) / 255
    blocks = jpeg_blocks(torch.from_numpy(levels).permute(2, 0, 1)[None] / 255, [40], [quality])[0]
    difference = (blocks - pillow).abs() * 255
    damage = (pillow - picture[0]).abs() * 255
    assert float(difference.mean()) < 0.5 * float(damage.mean())
    assert float(difference.mean()) < 2


def test_noise_is_standard_normal_and_uncorrelated_between_keys():
    drawn = noise([1, 2], (3, 128, 128), torch.device("cpu"))
    assert float(drawn.mean()) == pytest.approx(0, abs=0.01)
    assert float(drawn.std()) == pytest.approx(1, abs=0.01)
    assert float((drawn[0] * drawn[1]).mean()) == pytest.approx(0, abs=0.02)
    assert float((drawn[0, :, :, 1:] * drawn[0, :, :, :-1]).mean()) == pytest.approx(0, abs=0.02)


def test_noise_in_a_larger_extent_begins_alike():
    device = torch.device("cpu")
    assert torch.equal(noise([5], (3, 8, 8), device), noise([5], (3, 20, 20), device)[..., :8, :8])


def test_a_cpu_draws_the_noise_that_other_devices_draw() -> None:
    keys, shape = [0, 7, 2**32 - 1], (3, 33, 20)
    channel, row, column = (torch.arange(n, dtype=torch.int64) for n in shape)
    place = (channel[:, None, None] << 24) | (row[:, None] << 12) | column
    first = draws._scramble(place[None] + draws._scramble(torch.tensor(keys)[:, None, None, None]))
    second = draws._scramble(first ^ draws._OTHER)
    for words, expected in zip(draws._words(keys, shape), (first, second), strict=True):
        assert torch.equal(torch.from_numpy(words), expected.float())


def test_draws_keep_to_their_ranges():
    stream = Draw(0, 0)
    values = [stream.uniform((2.0, 3.0)) for _ in range(200)]
    assert 2 <= min(values) < 2.1
    assert 2.9 < max(values) < 3


def test_noise_of_the_preset_has_the_drawn_strength():
    ranges = Ranges(chains=((Pass(noise=(20, 20)),),), flip=0)
    grey = torch.full((1, 3, 64, 64), 0.5)
    assert float((Degradation(ranges).degrade(grey, 0, [0]) - 0.5).std() * 255) == pytest.approx(20, rel=0.05)


def test_colorization_takes_the_colour_and_inpainting_paints_white():
    pictures = scene(4) * 0.8
    grey = Degradation("colorization").degrade(pictures, 0, range(4))
    assert torch.allclose(grey[:, 0], grey[:, 2])
    painted = Degradation("inpainting").degrade(pictures, 0, range(4))
    changed = (painted != pictures).any(1)
    assert changed.flatten(1).any(1).all()
    assert float((painted.amin(1) > 0.999).float().mean()) > 0.01


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
def test_super_resolution_loses_more_with_each_factor(factor):
    picture = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    small = Degradation(f"super-resolution-{factor}").degrade(picture, 0, [0])
    assert float(small.std()) < 0.75 * float(picture.std()) / math.sqrt(factor / 2)


def test_an_unknown_preset_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match="did you mean balanced"):
        find_preset("balancd")


@pytest.mark.parametrize(
    ("field", "value"),
    [("noise", (5, 1)), ("quality", (0, 50)), ("shrink", (0.0, 2.0)), ("motion", 1.5), ("filters", ("cube",))],
)
def test_ranges_that_make_no_sense_are_refused(field, value):
    with pytest.raises(ConfigError, match=field):
        Pass(**{field: value})


def test_pictures_and_indices_must_agree():
    with pytest.raises(InputError, match="one picture for each index"):
        Degradation("none").degrade(scene(2), 0, [1])
