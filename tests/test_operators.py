"""The operators against slow float64 forms, and their second derivatives."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from gpen_core.architecture import operators as op

torch.manual_seed(0)


def zero_insertion(x: Tensor, kernel: Tensor, up: int, before: int, after: int) -> Tensor:
    """Up-FIR-down by loops over pixels: the definition, not an implementation."""
    batch, channels, height, width = x.shape
    wide = torch.zeros(batch, channels, height * up + before + after, width * up + before + after, dtype=x.dtype)
    for i in range(height):
        for j in range(width):
            wide[:, :, before + i * up, before + j * up] = x[:, :, i, j]
    size = kernel.shape[0]
    out = torch.zeros(batch, channels, wide.shape[2] - size + 1, wide.shape[3] - size + 1, dtype=x.dtype)
    for i in range(out.shape[2]):
        for j in range(out.shape[3]):
            out[:, :, i, j] = (wide[:, :, i : i + size, j : j + size] * kernel.flip(0, 1)).sum(dim=(2, 3))
    return out


def random(*shape: int, grad: bool = False) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=grad)


@pytest.mark.parametrize("padding", [(1, 1), (2, 2), (2, 1)])
def test_blur_is_the_definition(padding: tuple[int, int]) -> None:
    x = random(2, 3, 7, 6)
    kernel = op.blur_kernel().double()
    torch.testing.assert_close(op.blur(x, kernel, padding), zero_insertion(x, kernel, 1, *padding))


def test_upsampling_is_zero_insertion_and_blur() -> None:
    x = random(2, 3, 5, 4)
    kernel = op.blur_kernel(4.0).double()
    torch.testing.assert_close(op.upsample(x, kernel), zero_insertion(x, kernel, 2, 2, 1))


def test_upsampling_keeps_the_mean_of_a_flat_picture() -> None:
    flat = torch.full((1, 1, 8, 8), 0.5)
    inner = op.upsample(flat, op.blur_kernel(4.0))[..., 2:-2, 2:-2]
    torch.testing.assert_close(inner, torch.full_like(inner, 0.5))


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize(("size", "up"), [(1, False), (3, False), (3, True)])
def test_scaled_activations_equal_scaled_weights(demodulate: bool, size: int, up: bool) -> None:
    x, weight, style = random(3, 4, 6, 6), random(5, 4, size, size), random(3, 4)
    kernel = op.blur_kernel(4.0).double() if up else None
    one = op.modulated_convolution(x, weight, style, demodulate=demodulate, upsampling_kernel=kernel)
    other = op.modulated_convolution_per_sample(x, weight, style, demodulate=demodulate, upsampling_kernel=kernel)
    torch.testing.assert_close(one, other)


def test_demodulation_gives_unit_norm_weights() -> None:
    weight, style = random(5, 4, 3, 3), random(1, 4)
    impulse = torch.zeros(1, 4, 9, 9, dtype=torch.float64)
    power = torch.zeros(5, dtype=torch.float64)
    for channel in range(4):
        impulse.zero_()
        impulse[0, channel, 4, 4] = 1
        power += op.modulated_convolution(impulse, weight, style).square().sum(dim=(0, 2, 3))
    torch.testing.assert_close(power, torch.ones(5, dtype=torch.float64), rtol=0, atol=1e-6)


def test_second_derivatives_of_the_modulated_convolution_are_right() -> None:
    kernel = op.blur_kernel(4.0).double()
    x, weight, style = random(2, 2, 4, 4, grad=True), random(3, 2, 3, 3, grad=True), random(2, 2, grad=True)

    def run(x: Tensor, weight: Tensor, style: Tensor) -> Tensor:
        return op.modulated_convolution(x, weight, style, upsampling_kernel=kernel)

    assert torch.autograd.gradcheck(run, (x, weight, style))
    assert torch.autograd.gradgradcheck(run, (x, weight, style))


def test_second_derivatives_of_the_minibatch_deviation_are_right() -> None:
    x = random(3, 2, 2, 2, grad=True)
    assert torch.autograd.gradcheck(op.minibatch_deviation, (x,))
    assert torch.autograd.gradgradcheck(op.minibatch_deviation, (x,))


def test_the_minibatch_deviation_is_the_mean_of_deviations() -> None:
    x = random(4, 3, 2, 2)
    expected = np.sqrt(x.numpy().var(axis=0) + 1e-8).mean()
    plane = op.minibatch_deviation(x)[:, 3]
    torch.testing.assert_close(plane, torch.full_like(plane, float(expected)))


def test_the_minibatch_deviation_of_two_groups_is_that_of_each() -> None:
    x = random(4, 3, 2, 2)
    plane = op.minibatch_deviation(x, group=2)[:, 3, 0, 0]
    # A group takes every second sample, so that neighbours in a batch differ in group.
    for group in (0, 1):
        expected = float(np.sqrt(x[group::2].numpy().var(axis=0) + 1e-8).mean())
        torch.testing.assert_close(plane[group::2], torch.full((2,), expected, dtype=torch.float64))


def test_leaky_relu_adds_the_bias_of_each_channel_first() -> None:
    x, bias = random(2, 3, 2, 2), random(3)
    moved = x + bias[None, :, None, None]
    expected = torch.where(moved > 0, moved, 0.2 * moved) * math.sqrt(2)
    torch.testing.assert_close(op.leaky_relu(x, bias), expected)


def test_pixel_norm_makes_the_mean_square_one() -> None:
    squares = op.pixel_norm(random(5, 16)).square().mean(dim=1)
    torch.testing.assert_close(squares, torch.ones(5, dtype=torch.float64), rtol=0, atol=1e-6)
