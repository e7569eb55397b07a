"""The texture loss: its definition, and what it asks for."""

import pytest
import torch
from torch.nn import functional as F

from gpen_core.losses import LikenessLoss, TextureLoss, likeness_distance, texture_distance
from gpen_core.losses.texture import derivatives, window_covariances


def edges(pictures: torch.Tensor) -> list[torch.Tensor]:
    """Differences to the right and downwards, as a backbone of one depth."""
    right, down = pictures.roll(-1, 3) - pictures, pictures.roll(-1, 2) - pictures
    return [torch.cat([pictures, right, down], 1)]


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_window_covariances_are_those_of_each_window_by_itself():
    features = drawn(2, 3, 8, 9)
    found = window_covariances(features, 4)
    assert found.shape == (2, 4, 3, 3)
    window = features[1, :, 4:, :4].flatten(1)
    torch.testing.assert_close(found[1, 2], torch.cov(window, correction=0))


def test_the_distance_is_none_to_itself_and_two_where_all_texture_is_gone():
    maps = [drawn(2, 4, 16, 16, seed=n) for n in range(3)]
    flat = [torch.zeros_like(m) for m in maps]
    assert texture_distance(maps, maps, 32).max() < 1e-4
    gone = texture_distance(flat, maps, 32)
    assert gone.shape == (2,)
    assert ((gone > 1.7) & (gone < 2)).all()


def test_too_much_and_too_little_are_as_far():
    maps = [drawn(1, 4, 16, 16)]
    more, less = ([m * factor for m in maps] for factor in (2**0.5, 0.5**0.5))
    torch.testing.assert_close(texture_distance(more, maps, 16), texture_distance(less, maps, 16), rtol=0.1, atol=0)


def test_the_derivatives_are_those_of_the_brightness():
    x, y = torch.meshgrid(torch.arange(6.0), torch.arange(6.0), indexing="xy")
    grey = 0.5 * x**2 + 3 * y + 2 * x * y
    found = derivatives(grey.expand(1, 3, -1, -1))[0, :, 1, 1]
    # At x = y = 2: against the pixel before it, and the negative second differences.
    torch.testing.assert_close(found, torch.tensor([1.5 + 4.0, 3.0 + 4.0, -1.0, 0.0, 2.0]))


def test_another_thread_of_the_same_cloth_is_nearer_than_the_blurred_one():
    cloth, other = drawn(1, 3, 64, 64), drawn(1, 3, 64, 64, seed=1)
    loss = TextureLoss(edges)
    blurred = F.avg_pool2d(cloth, 3, 1, 1)
    assert F.l1_loss(blurred, cloth) < F.l1_loss(other, cloth), "pixels prefer the blurred one"
    assert loss(other, cloth) < 0.5 * loss(blurred, cloth)


def test_no_gradient_reaches_the_original():
    result, original = (drawn(1, 3, 32, 32, seed=n).requires_grad_() for n in (0, 1))
    TextureLoss(edges)(result, original).backward()
    assert result.grad is not None
    assert result.grad.abs().sum() > 0
    assert original.grad is None


def test_likeness_asks_where_lines_are_and_not_how_strong():
    original = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    other = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1
    loss = LikenessLoss()
    assert float(loss(original * 0.2 + 0.1, original)) < 1e-3
    assert float(loss(-original, original)) > 1.99
    assert 0.9 < float(loss(other, original)) < 1.1
    half = float(loss(original + other, original))
    assert 0.2 < half < 0.4  # 1 − 1/√2
    assert float(loss(original.new_zeros(2, 3, 64, 64), original)) == pytest.approx(1, abs=1e-3)


def test_likeness_counts_strong_windows_for_more_and_gives_each_picture_its_own():
    wanted = torch.zeros(2, 5, 64, 64)
    wanted[:, :, :32] = torch.randn(2, 5, 32, 64, generator=torch.Generator().manual_seed(3))
    wanted[:, :, 32:] = 0.01 * wanted[:, :, :32]
    seen = wanted.clone()
    seen[0, :, 32:] *= -1  # wrong where there is next to nothing
    seen[1, :, :32] *= -1
    faint, strong = likeness_distance(seen, wanted).tolist()
    assert faint < 0.05
    assert strong > 1.9


def test_likeness_reaches_the_result_alone():
    result = torch.rand(1, 3, 40, 40, requires_grad=True)
    original = torch.rand(1, 3, 40, 40, requires_grad=True)
    LikenessLoss()(result, original).backward()
    assert original.grad is None
    assert float(result.grad.abs().sum()) > 0
