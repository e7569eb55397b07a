"""Sharpening of restored faces: as much as was changed, and no rims."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_restorers import face, inverted, photograph
from torch.nn import functional as F

from gpen_core.config import ModelCard
from gpen_core.errors import ConfigError
from gpen_core.faces.sharpen import changed, sharpened
from gpen_core.options import RestoreOptions
from gpen_core.restore import FaceRestorer


def soft(number: int, count: int = 1, size: int = 32) -> torch.Tensor:
    pictures = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(number))
    return F.avg_pool2d(pictures, 5, 1, 2, count_include_pad=False)


def test_what_the_network_left_alone_stays_as_it_is():
    crops = soft(1, 2)
    torch.testing.assert_close(sharpened(crops, crops, 10.0), crops, atol=1e-5, rtol=0)


def test_an_edge_gets_steeper_and_no_value_leaves_its_neighbourhood():
    restored = torch.sigmoid(torch.arange(-16.0, 16) * 1.5).expand(1, 3, 32, 32)
    result = sharpened(restored, torch.full_like(restored, 0.5), 2.0)
    row, before = result[0, 0, 16], restored[0, 0, 16]
    wanted = before[15] + 2 * (before[15] - before[14:17].mean())
    assert row[15] == pytest.approx(wanted.item())
    assert row.diff().max() > 1.3 * before.diff().max()
    assert bool((row[2:-2] >= before.unfold(0, 5, 1).amin(1)).all())
    assert bool((row[2:-2] <= before.unfold(0, 5, 1).amax(1)).all())


def test_each_face_is_sharpened_by_what_was_changed_of_it():
    restored = soft(2).expand(3, -1, -1, -1)
    crops = torch.cat([soft(2), (soft(2) + soft(3)) / 2, soft(3)])
    share = changed(crops, restored)
    assert share[0] == pytest.approx(0, abs=1e-5)
    assert 0.05 < share[1] < 0.6 < share[2] <= 1
    strength = (sharpened(restored, crops, 1.0) - restored).abs().mean((1, 2, 3))
    assert strength[0] < strength[1] < strength[2]
    assert changed(F.interpolate(crops, (16, 16), mode="area"), restored)[0] < share[2]


def test_the_card_decides_unless_the_options_do():
    where, given = [face(30, 20, 40)], photograph()
    model, plain = inverted(), inverted()
    model.function = plain.function = lambda x: F.avg_pool2d(1 - x, 5, 1, 2)
    model.card = ModelCard(value_range=(0.0, 1.0), sharpen=4.0)

    def restored(network: object, options: RestoreOptions) -> np.ndarray:
        return FaceRestorer(network).restore(given, options, detections=where).picture

    by_card = restored(model, RestoreOptions())
    np.testing.assert_array_equal(by_card, restored(plain, RestoreOptions(sharpen=4.0)))
    np.testing.assert_array_equal(restored(model, RestoreOptions(sharpen=0)), restored(plain, RestoreOptions()))
    assert (by_card != restored(plain, RestoreOptions())).any()
    assert RestoreOptions.reference().sharpen == 0


@pytest.mark.parametrize("value", [-0.1, 21, True, "much"])
def test_amounts_out_of_range_are_refused(value):
    with pytest.raises(ConfigError, match="sharpen"):
        RestoreOptions(sharpen=value)
    with pytest.raises(ConfigError, match="sharpen"):
        ModelCard(sharpen=value)


def test_the_command_line_passes_it_on():
    from gpen_core.cli.face_arguments import options_from

    assert options_from(SimpleNamespace(sharpen=3.0)).sharpen == 3.0
    assert options_from(SimpleNamespace(sharpen=None, reference=True)).sharpen == 0
