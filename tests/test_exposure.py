"""Faces that are dark, pale, faded or in coloured light, which a network is shown like usual ones."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from small_restorers import Network

from gpen_core.faces.exposure import exposed, unexposed
from gpen_core.faces.mask import ellipse_mask
from gpen_core.options import RestoreOptions
from gpen_core.restore import FaceRestorer


def faces(count: int = 2, size: int = 64) -> torch.Tensor:
    """Grey pictures that span all levels, softly."""
    noise = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(4))
    soft = torch.nn.functional.interpolate(noise, (size, size), mode="bicubic").clamp(0, 1)
    return soft.repeat(1, 3, 1, 1)


def skin(count: int = 2) -> torch.Tensor:
    """Pictures of soft, many shades of one natural colour."""
    return faces(count) * colour(0.95, 0.75, 0.66)


def colour(*channels: float) -> torch.Tensor:
    """Three values as a picture (1, 3, 1, 1)."""
    return torch.tensor(channels)[None, :, None, None]


DIMMED = {"dark": (0.4, 0.0), "faded": (0.4, 0.3), "pale": (0.2, 0.75), "dim": (0.25, 0.05)}
LIGHT = {
    "warm": (colour(1, 0.8, 0.5), 0.0),
    "cool": (colour(0.6, 0.8, 1), 0.0),
    "green": (colour(0.3, 1, 0.3), 0.0),
    "purple": (colour(0.8, 0.2, 1), 0.0),
    "red, and faded": (colour(0.6, 0.4, 0.3), colour(0.35, 0.2, 0.2)),
    "blue, below water": (colour(0.3, 0.8, 0.8), colour(0, 0.1, 0.15)),
}


def test_usual_faces_are_shown_as_they_are() -> None:
    crops = faces()
    shown, gains = exposed(crops)
    assert shown is crops
    assert gains is None


@pytest.mark.parametrize("dimmed", DIMMED)
def test_a_dark_or_pale_face_is_shown_like_the_usual_one_it_was(dimmed: str) -> None:
    scale, offset = DIMMED[dimmed]
    usual = faces()
    shown, gains = exposed(scale * usual + offset)
    assert gains is not None
    assert float((shown - shown.amin() - 0.75 * usual).abs().mean()) < 0.03
    assert float(shown.amin()) < 0.12
    assert float(shown.std(1).max()) < 0.02


@pytest.mark.parametrize("light", LIGHT)
def test_a_face_in_coloured_light_is_shown_in_colours_of_skin(light: str) -> None:
    scale, offset = LIGHT[light]
    usual = skin()
    shown, gains = exposed(scale * usual + offset)
    assert gains is not None
    before, after = (float((tint(x) - tint(usual)).abs().amax()) for x in (scale * usual + offset, shown))
    assert after < 0.4
    assert after < 0.6 * before


def tint(pictures: torch.Tensor) -> torch.Tensor:
    """Red and blue beside green (N, 2), in logarithms."""
    red, green, blue = pictures.mean((2, 3)).log().unbind(1)
    return torch.stack([red - green, blue - green], 1)


def test_natural_light_and_grey_pictures_are_left_alone() -> None:
    for crops in (skin(), skin() * colour(1, 0.95, 0.9), skin() * colour(0.95, 1, 1), faces()):
        assert exposed(crops)[0] is crops


@pytest.mark.parametrize("changed", DIMMED | LIGHT)
def test_what_a_network_leaves_alone_comes_back_as_it_was(changed: str) -> None:
    scale, offset = (DIMMED | LIGHT)[changed]
    crops = scale * skin() + offset
    # Beyond the face's range: a wall behind it, which the stretch does not hold.
    crops[..., :6, :6] = 1.0
    shown, gains = exposed(crops)
    assert gains is not None
    torch.testing.assert_close(unexposed(shown.clone(), shown, gains, crops), crops, atol=1e-6, rtol=0)


def test_a_network_changes_a_dark_face_in_proportion() -> None:
    seen = []

    def darker(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return x - 0.1

    usual = faces(1)
    crops = torch.cat([usual, 0.25 * usual])
    restored = FaceRestorer(Network(darker, 64)).run(crops, RestoreOptions(sharpen=0))
    assert torch.equal(seen[0][:1], usual)
    assert torch.equal(restored[:1], (usual - 0.1).clamp(0, 1))
    inner = usual[0] > 0.2
    gain = (0.25 * usual[0] - restored[1])[inner]
    assert 0.025 < float(gain.median()) < 0.035


def test_a_stretch_begins_softly() -> None:
    usual, gains = faces(1), []
    for scale in torch.linspace(0.9, 0.3, 61):
        found = exposed(float(scale) * usual)[1]
        gains.append(1.0 if found is None else float(found.mean()))
    assert gains[0] == 1
    assert gains[-1] > 2
    assert max(b / a for a, b in pairwise(gains)) < 1.12


def before_a_wall(face: torch.Tensor) -> torch.Tensor:
    """Crops whose middle is `face` (N, 3, S, S), above black clothes and before a white wall."""
    beyond = torch.ones_like(face)
    beyond[..., -12:, :] = 0.0
    return torch.where(ellipse_mask(face.shape[-1]) > 0.1, face, beyond)


@pytest.mark.parametrize("blurred", [0.65, 0.6])
def test_a_face_that_blur_left_little_contrast_keeps_it_where_the_light_around_it_is_usual(blurred: float) -> None:
    crops = before_a_wall(blurred * skin() + 0.15)
    assert exposed(crops)[0] is crops
    assert exposed(0.5 * crops)[1] is not None, "a dim room is dim all over"


def test_a_face_before_a_bright_window_is_stretched_by_itself() -> None:
    shown, gains = exposed(before_a_wall(0.25 * faces()))
    assert gains is not None
    assert float(gains.min()) > 2
    assert float(shown[..., 24:40, 24:40].amax()) > 0.6


def test_one_colour_is_no_face_and_the_steps_of_eight_bits_are_not_stretched_without_end() -> None:
    plain = torch.full((1, 3, 64, 64), 0.5)
    assert exposed(plain)[1] is None
    _, gains = exposed(plain + 0.07 * (faces(1) - 0.5))
    assert gains is not None
    assert float(gains.min()) > 8
    assert float(gains.max()) <= 10.5 + 1e-6
    assert exposed(torch.full((1, 3, 64, 64), 0.5) * colour(0.2, 1, 0.4))[1] is None


def test_light_turns_softly() -> None:
    gains = []
    for blue in torch.linspace(0, 1, 61).tolist():
        found = exposed(skin(1) * colour(1 - 0.7 * blue, 1 - 0.4 * blue, 1))[1]
        gains.append(1.0 if found is None else float(found[0, 0]))
    assert gains[0] == 1
    assert gains[-1] > 1.5
    assert max(b / a for a, b in pairwise(gains)) < 1.12


def test_the_references_own_steps_show_faces_as_they_are() -> None:
    seen = []

    def keep(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return x

    crops = 0.25 * faces(1)
    FaceRestorer(Network(keep, 64)).run(crops, RestoreOptions(eight_bits=True, sharpen=0))
    assert torch.equal(seen[0], crops)
