"""The losses against the reference's numbers and against slow float64 forms of their definitions."""

from __future__ import annotations

import math

import golden_cases
import pytest
import torch
from torch import Tensor, nn

from gpen_core.architecture import Discriminator, StyleGAN2Prior
from gpen_core.config import GPENConfig
from gpen_core.errors import ConfigError, InputError
from gpen_core.losses import (
    EmbeddingLoss,
    coarse_distance,
    content,
    damage_weights,
    discriminator_logistic,
    emphasise,
    feature_matching,
    generator_nonsaturating,
    path_length_penalty,
    r1_penalty,
)


def golden_discriminator() -> tuple[Discriminator, dict[str, Tensor]]:
    config, weights, numbers = golden_cases.load(golden_cases.cases("discriminator")[0])
    network = Discriminator(config)
    network.load_state_dict(weights)
    return network, numbers


def test_logistic_losses_and_r1_agree_with_the_reference():
    network, golden = golden_discriminator()
    real = golden["real"].clone().requires_grad_(True)
    real_score, fake_score = network(real), network(golden["fake"])
    assert float(discriminator_logistic(real_score, fake_score).detach()) == pytest.approx(
        float(golden["d_logistic"]), rel=1e-4
    )
    assert float(generator_nonsaturating(fake_score).detach()) == pytest.approx(
        float(golden["g_nonsaturating"]), rel=1e-4
    )
    assert float(r1_penalty(real_score, real).detach()) == pytest.approx(float(golden["r1"]), rel=1e-4)


def test_emphasis_adds_the_difference_from_the_mean_of_the_neighbours_in_the_picture():
    picture = torch.rand(1, 3, 7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    shown = emphasise(picture, 4.0)
    for y, x in ((0, 0), (3, 4), (6, 2)):
        near = picture[..., max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
        own = picture[..., y, x]
        torch.testing.assert_close(shown[..., y, x], own + 4 * (own - near.mean((2, 3))))
    assert emphasise(picture, 0.0) is picture


def test_feature_matching_is_the_sum_of_each_blocks_mean_absolute_difference():
    network, golden = golden_discriminator()
    network.double()
    with torch.no_grad():
        fake, real = (network.features(golden[name].double()).features for name in ("fake", "real"))
    slow = 0.0
    for a, b in zip(fake, real, strict=True):
        differences = [abs(x - y) for x, y in zip(a.flatten().tolist(), b.flatten().tolist(), strict=True)]
        slow += math.fsum(differences) / len(differences)
    assert float(feature_matching(fake, real)) == pytest.approx(slow, rel=1e-12)
    assert float(feature_matching(fake, real, reduction="mean")) == pytest.approx(slow / len(fake), rel=1e-12)


def test_feature_matching_leaves_the_real_features_without_a_gradient():
    fake, real = torch.ones(1, 2, requires_grad=True), torch.zeros(1, 2, requires_grad=True)
    feature_matching([fake], [real]).backward()
    assert fake.grad is not None
    assert real.grad is None


def test_feature_matching_refuses_different_blocks():
    with pytest.raises(InputError, match="1 blocks of fake features and 2"):
        feature_matching([torch.ones(1)], [torch.ones(1), torch.ones(1)])


def test_path_length_agrees_with_a_jacobian_written_out_row_by_row():
    source = torch.Generator().manual_seed(0)
    prior = StyleGAN2Prior(GPENConfig.standard(8, narrow=0.01, style_dim=4, n_mlp=1), generator=source).double()
    noise = {r: tuple(n.double() for n in f) for r, f in prior.draw_noise(2, generator=source).items()}
    latents = torch.randn(2, prior.latents, 4, generator=source, dtype=torch.float64, requires_grad=True)
    direction = torch.randn(2, 3, 8, 8, generator=source, dtype=torch.float64)
    mean = torch.tensor(0.3, dtype=torch.float64)
    penalty, new_mean, lengths = path_length_penalty(prior.render(latents, noise), latents, mean, direction)

    def picture(w: Tensor) -> Tensor:
        return prior.render(w, noise)

    jacobian = torch.autograd.functional.jacobian(picture, latents.detach())
    slow = []
    for sample in range(2):
        pulled = torch.zeros(prior.latents, 4, dtype=torch.float64)
        for c, y, x in torch.cartesian_prod(torch.arange(3), torch.arange(8), torch.arange(8)).tolist():
            pulled += direction[sample, c, y, x] / 8 * jacobian[sample, c, y, x, sample]
        slow.append(math.sqrt(sum(float((row * row).sum()) for row in pulled) / prior.latents))
    slow_mean = 0.3 + 0.01 * (sum(slow) / 2 - 0.3)
    assert lengths.tolist() == pytest.approx(slow, rel=1e-9)
    assert float(new_mean) == pytest.approx(slow_mean, rel=1e-9)
    assert float(penalty.detach()) == pytest.approx(sum((v - slow_mean) ** 2 for v in slow) / 2, rel=1e-9)


def test_regularisers_refuse_half_precision():
    with pytest.raises(InputError, match="float32"):
        r1_penalty(torch.ones(1, 1, dtype=torch.bfloat16), torch.ones(1, 3, 4, 4))


def test_content_norms_are_what_their_names_say():
    a, b = torch.tensor([[0.0, 3.0]]), torch.tensor([[0.5, 0.0]])
    assert float(content(a, b)) == pytest.approx((0.5 + 3) / 2)
    assert float(content(a, b, "l2")) == pytest.approx((0.25 + 9) / 2)
    assert float(content(a, b, "smooth_l1")) == pytest.approx((0.125 + 2.5) / 2)
    with pytest.raises(ConfigError, match="norm is 'l3'"):
        content(a, b, "l3")  # type: ignore[arg-type]


def test_the_coarse_distance_sees_what_is_four_pixels_wide_and_not_what_is_drawn_on_it():
    target = torch.zeros(1, 3, 16, 16)
    checks = target.clone()
    checks[..., ::2, ::2] = checks[..., 1::2, 1::2] = 1
    checks[..., ::2, 1::2] = checks[..., 1::2, ::2] = -1
    assert coarse_distance(checks, target) == 0
    shaded = target.clone()
    shaded[..., :4, :8] = 0.5
    assert coarse_distance(shaded, target).item() == pytest.approx(0.5 * 2 / 16)


def test_a_content_relative_to_the_damage_asks_as_much_of_mild_as_of_severe():
    clean = torch.zeros(2, 3, 8, 8)
    damaged = torch.stack([clean[0] + 0.04, clean[1] - 0.4])
    weights = damage_weights(damaged, clean)
    assert weights.tolist() == pytest.approx([1 / 0.05, 1 / 0.41])
    assert damage_weights(damaged[..., ::2, ::2], clean).tolist() == pytest.approx(weights.tolist())
    assert float(content(damaged, clean)) == pytest.approx(0.22)
    assert float(content(damaged, clean, "l1", weights)) == pytest.approx((0.04 * 20 + 0.4 / 0.41) / (20 + 1 / 0.41))
    (slope,) = torch.autograd.grad(content(result := damaged.clone().requires_grad_(), clean, "l1", weights), result)
    assert float(slope[0].norm() / slope[1].norm()) == pytest.approx(0.41 / 0.05, rel=1e-4)


class Colours(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


def test_an_embedding_loss_compares_what_the_network_sees_of_the_region():
    left = torch.zeros(1, 3, 8, 8)
    left[:, 0, :, :4] = 1
    right = torch.zeros(1, 3, 8, 8)
    right[:, 0, :, :4], right[:, 1, :, 4:] = 1, 1
    identity = EmbeddingLoss(Colours(), region=(0, 1, 0, 0.5))
    assert float(identity(left, right)) == pytest.approx(0, abs=1e-6)
    assert float(EmbeddingLoss(Colours(), size=4, distance="l1")(left, right)) == pytest.approx(0.5 / 3)


def test_an_embedding_loss_sends_its_gradient_to_the_result_only():
    result, target = torch.rand(1, 3, 8, 8, requires_grad=True), torch.rand(1, 3, 8, 8, requires_grad=True)
    EmbeddingLoss(Colours())(result, target).backward()
    assert result.grad is not None
    assert target.grad is None
