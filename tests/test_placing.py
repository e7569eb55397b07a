"""Faces of a training pair that stand a little off, as found ones do."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gpen_core.data.degradation import Degradation
from gpen_core.data.placing import Placing, place
from gpen_core.data.presets import PRESETS
from gpen_core.data.ranges import Ranges, draw
from gpen_core.errors import ConfigError

_STILL = Placing(angle=0.0, scale=1.0, x=0.0, y=0.0)


def dot() -> Tensor:
    """(3, 64, 64): a square whose middle lies 10 px right of the picture's and 10 above it."""
    picture = torch.zeros(3, 64, 64)
    picture[:, 20:24, 40:44] = 1.0
    return picture


def middle(picture: Tensor) -> tuple[float, float]:
    """Of the brightness, in pixels right of and below the picture's middle."""
    weight, along = picture[0], torch.arange(64) - 31.5
    return float((weight.sum(0) * along).sum() / weight.sum()), float((weight.sum(1) * along).sum() / weight.sum())


@pytest.mark.parametrize(
    ("placing", "expected"),
    [
        (_STILL, (10.0, -10.0)),
        (replace(_STILL, x=0.125, y=-0.0625), (18.0, -14.0)),
        (replace(_STILL, angle=math.pi / 2), (10.0, 10.0)),
        (replace(_STILL, scale=1.5), (15.0, -15.0)),
        (Placing(angle=math.pi / 2, scale=1.5, x=0.125, y=0.0), (23.0, 15.0)),
    ],
)
def test_a_face_is_turned_clockwise_and_enlarged_about_the_middle_then_shifted(placing, expected):
    assert middle(place(dot(), placing)) == pytest.approx(expected, abs=0.1)


def test_lines_stay_where_bilinear_sampling_would_take_a_quarter():
    noise = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    fine = torch.nn.functional.avg_pool2d(noise[None], 3, 1, 1)[0]

    def lines(picture: Tensor) -> float:
        return float((picture[:, 1:-1, 1:-1] - picture[:, 1:-1, 2:]).abs().mean())

    moved = place(fine, replace(_STILL, angle=0.05, x=0.5 / 64, y=0.5 / 64))
    assert lines(moved) > 0.9 * lines(fine)
    assert moved.min() >= 0
    assert moved.max() <= 1


def test_both_pictures_of_a_pair_stand_alike_and_within_what_was_asked():
    ranges = Ranges(flip=0.0, moved_pair=1.0, turn=5.0, enlarge=0.05, shift=0.02)
    pictures = dot()[None].expand(20, -1, -1, -1)
    damaged, clean = Degradation(ranges).pairs(pictures, 3, range(20))
    assert torch.equal(damaged, clean)
    placings = [draw(ranges, 3, i, 64).placing for i in range(300)]
    for name, least, most in (
        ("angle", -math.radians(5), math.radians(5)),
        ("scale", 0.95, 1.05),
        ("x", -0.02, 0.02),
        ("y", -0.02, 0.02),
    ):
        values = [getattr(placing, name) for placing in placings]
        assert least <= min(values) < least + 0.1 * (most - least)
        assert most - 0.1 * (most - least) < max(values) <= most


def test_standing_off_changes_nothing_else_that_is_drawn():
    plain, found = PRESETS["photographs-sound"], PRESETS["photographs-found"]
    drawn = [(draw(plain, 5, i, 256), draw(found, 5, i, 256)) for i in range(300)]
    assert all(replace(after, placing=None) == before for before, after in drawn)
    assert 0.3 < sum(after.placing is not None for _, after in drawn) / 300 < 0.5


@pytest.mark.parametrize(("name", "value"), [("turn", -1.0), ("turn", 90.0), ("enlarge", 0.9), ("shift", 0.5)])
def test_a_face_cannot_stand_as_far_off_as_that(name, value):
    with pytest.raises(ConfigError, match=f"{name} is {value}; it must be from 0 to"):
        Ranges(**{name: value})
