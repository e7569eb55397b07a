"""How damaged a face is, and that a good one stays as it is."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_restorers import Network, face, inverted
from task_models import task_model
from torch import Tensor
from torch.nn import functional as F

from gpen_core.errors import ConfigError
from gpen_core.faces.damage import GOOD, damage
from gpen_core.images import read_picture
from gpen_core.measures.figures import face_figures
from gpen_core.options import Blending, RestoreOptions
from gpen_core.restore import FaceRestorer
from gpen_core.tasks import colorize, inpaint

ONLY = RestoreOptions(blending=Blending(only_damaged=True))


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """(256, 256, 3): a face at the size at which it was photographed."""
    return read_picture(Path(__file__).parent / "golden" / "astronaut.jpg").pixels[:256, 32:288].copy()


def planes(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255


def blurred(portrait: np.ndarray, sigma: float) -> np.ndarray:
    line = torch.exp(-0.5 * (torch.arange(-20, 21) / sigma).square())
    line /= line.sum()
    padded = F.pad(planes(portrait), [20] * 4, mode="reflect").transpose(0, 1)
    soft = F.conv2d(F.conv2d(padded, line.view(1, 1, 1, -1)), line.view(1, 1, -1, 1)).transpose(0, 1)
    return (soft[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)


def noisy(portrait: np.ndarray, level: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(scale=level, size=portrait.shape)
    return (portrait + noise).round().clip(0, 255).astype(np.uint8)


def compressed(portrait: np.ndarray, loss: float) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(portrait).save(file, format="JPEG", quality=100 - int(loss))
    return np.asarray(Image.open(file))


def shrunk(portrait: np.ndarray, times: float) -> np.ndarray:
    small = Image.fromarray(portrait).resize([round(256 / times)] * 2, Image.Resampling.BOX)
    return np.asarray(small.resize((256, 256), Image.Resampling.BICUBIC))


@pytest.mark.parametrize(
    ("damaging", "amounts"),
    [
        (blurred, (0.7, 1, 1.5, 2.2, 3.3, 5, 7)),
        (noisy, (4, 8, 12, 18, 27, 40)),
        (compressed, (20, 50, 70, 80, 88, 94)),
        (shrunk, (1.5, 2, 3, 4, 6, 9)),
    ],
)
def test_the_worse_a_face_was_damaged_the_more_damaged_it_is(portrait, damaging, amounts):
    found = damage(torch.cat([planes(portrait), *(planes(damaging(portrait, amount)) for amount in amounts)]))
    assert float(found[0]) < GOOD < float(found[3:].min())
    order = found.argsort().argsort().double()
    assert float(torch.corrcoef(torch.stack([order, torch.arange(len(found)).double()]))[0, 1]) >= 0.8


@pytest.mark.parametrize("size", [64, 256, 512, 1024])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_flat_crop_of_any_size_has_a_damage(size, value):
    found = damage(torch.full((2, 3, size, size), value))
    assert bool(((found >= 0) & (found <= 1)).all())


@pytest.mark.parametrize("options", [ONLY, RestoreOptions(blending=Blending(only_damaged=True, grain=1.0))])
@pytest.mark.parametrize("aligned", [False, True])
def test_a_good_face_stays_to_the_bit_and_a_damaged_one_is_restored(portrait, options, aligned):
    restorer = FaceRestorer(inverted(256))
    detections = None if aligned else [face(78, 66, 120)]
    kept = restorer.restore(portrait, options, aligned=aligned, detections=detections)
    if aligned:
        np.testing.assert_array_equal(kept.picture, portrait)
        assert (kept.faces[0].strength, kept.faces[0].spared, kept.faces[0].left) == (0.0, True, False)
    worse = blurred(portrait, 3)
    restored = restorer.restore(worse, options, aligned=aligned, detections=detections)
    assert restored.faces[0].strength == 1.0
    assert (restored.picture != worse).any()


def test_a_good_face_stays_to_the_bit_with_the_references_eight_bits_as_well(portrait):
    options = RestoreOptions(eight_bits=True, blending=Blending(only_damaged=True))
    np.testing.assert_array_equal(
        FaceRestorer(inverted(256)).restore(portrait, options, aligned=True).picture, portrait
    )


def test_the_report_holds_the_damage_of_each_face(portrait):
    result = FaceRestorer(Network(lambda x: x, 256)).restore(portrait, aligned=True)
    figures = face_figures(result.faces[0], result.decoded)
    assert figures["damage"] == pytest.approx(float(damage(planes(portrait))), abs=1e-4)


def test_where_it_means_nothing_it_is_refused_by_name(portrait):
    for make in (
        lambda: colorize(portrait, task_model("colorization"), options=ONLY, detections=[]),
        lambda: inpaint(portrait, task_model("inpainting"), options=ONLY, mask=np.ones((256, 256)), detections=[]),
    ):
        with pytest.raises(ConfigError, match="only_damaged: "):
            make()
