"""Pictures without colours of their own: grey and toned ones stay so, whatever colours a network makes."""

import numpy as np
import pytest
import torch
from small_restorers import Network, face
from task_models import task_model
from torch import Tensor
from torch.nn import functional as F

from gpen_core.faces.tone import LOOKED_AT, tone_of
from gpen_core.images.planes import shrunk_planes
from gpen_core.options import Blending, RestoreOptions
from gpen_core.restore import FaceRestorer
from gpen_core.tasks import colorize

FACE = face(30, 20, 60)
LET_GO = RestoreOptions(blending=Blending(keep_tone=False))
LUMA = np.array([0.299, 0.587, 0.114])


def shades() -> np.ndarray:
    """(100, 120) from black to white, coarse and fine."""
    source = torch.Generator().manual_seed(2)
    layers = [F.interpolate(torch.rand(1, 1, n, n, generator=source), (100, 120), mode="bilinear") for n in (4, 15, 60)]
    shade = sum(layers, torch.zeros(1, 1, 100, 120))[0, 0]
    return ((shade - shade.min()) / (shade.max() - shade.min())).numpy()


def grey() -> np.ndarray:
    return np.repeat(np.rint(shades() * 255).astype(np.uint8)[..., None], 3, axis=2)


def sepia() -> np.ndarray:
    shade = shades()
    return np.rint(np.stack([255 * shade**0.8, 240 * shade, 215 * shade**1.15], -1)).astype(np.uint8)


def scanned() -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 1.5, (100, 120, 3))
    return np.clip(grey() + noise, 0, 255).round().astype(np.uint8)


def coloured() -> np.ndarray:
    picture = grey().astype(float)
    picture[:, :60] *= (1.0, 0.9, 0.8)
    return picture.round().astype(np.uint8)


def tone(picture: np.ndarray) -> object:
    return tone_of(shrunk_planes(picture, LOOKED_AT))


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (0.25, 10.0), (0.12, 0.0), (0.12, 220.0)])
def test_colours_are_told_in_the_dark_and_in_pale_pictures_too(scale: float, offset: float) -> None:
    def in_this_light(picture: np.ndarray) -> np.ndarray:
        return np.rint(scale * picture.astype(float) + offset).astype(np.uint8)

    assert tone(in_this_light(coloured())) is None
    assert tone(in_this_light(sepia())) is not None
    assert tone(in_this_light(grey())) is not None


def tinting(size: int = 64) -> Network:
    """A network that turns faces brighter and pink."""

    def pink(crops: Tensor) -> Tensor:
        return (crops * 1.1 + torch.tensor([0.1, -0.05, 0.05]).view(1, 3, 1, 1)).clamp(0, 1)

    return Network(pink, size)


def restored(picture: np.ndarray, options: RestoreOptions | None = None) -> np.ndarray:
    result: np.ndarray = FaceRestorer(tinting(), lambda x: [[]]).restore(picture, options, detections=[FACE]).picture
    return result


def tint(picture: np.ndarray) -> np.ndarray:
    """Red and blue less luma."""
    values = picture.astype(float)
    return values[..., [0, 2]] - (values @ LUMA)[..., None]


def test_a_neutral_picture_stays_neutral_and_is_restored_all_the_same() -> None:
    result = restored(grey())
    assert (result == result[..., :1]).all()
    assert np.abs(result.astype(int) - grey()).max() > 10
    assert np.abs(tint(restored(grey(), LET_GO))).max() > 10


def test_a_scan_in_colour_of_a_grey_print_gains_none() -> None:
    before, after = tint(scanned()), tint(restored(scanned()))
    assert np.abs(after - before).mean() < 2
    assert np.abs(tint(restored(scanned(), LET_GO)) - before).mean() > 2 * np.abs(after - before).mean()


def test_a_toned_picture_keeps_its_tone() -> None:
    shade = np.linspace(0, 1, 256)
    curve = np.stack([255 * shade**0.8, 240 * shade, 215 * shade**1.15], -1)
    result = restored(sepia())
    wanted = np.stack([np.interp(result @ LUMA, curve @ LUMA, tint(curve)[:, k]) for k in (0, 1)], -1)
    assert np.abs(tint(result) - wanted).max() <= 5
    loose = restored(sepia(), LET_GO)
    elsewhere = np.stack([np.interp(loose @ LUMA, curve @ LUMA, tint(curve)[:, k]) for k in (0, 1)], -1)
    assert np.abs(tint(loose) - elsewhere).max() > 10


def test_a_picture_with_colours_is_left_to_the_network() -> None:
    np.testing.assert_array_equal(restored(coloured()), restored(coloured(), LET_GO))


@pytest.mark.parametrize("kind", [grey, sepia, scanned])
def test_what_has_no_colours_of_its_own_is_known(kind) -> None:
    assert tone_of(shrunk_planes(kind(), LOOKED_AT)) is not None
    assert tone_of(shrunk_planes(coloured(), LOOKED_AT)) is None


def test_colourising_is_what_it_was() -> None:
    result = colorize(grey(), task_model("colorization"), detections=[FACE])
    assert np.abs(tint(result.picture)).max() > 3
