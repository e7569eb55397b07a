"""Frozen eyes, what they judge, and a discriminator that looks through them."""

from __future__ import annotations

import math

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from training_runs import loop, make_faces, recipe, silent

from gpen_core.config import GPENConfig
from gpen_core.errors import ConfigError, TrainingError
from gpen_core.losses import (
    EfficientNetLite0,
    PerceptualLoss,
    ProjectedDiscriminator,
    discriminator_hinge,
    generator_hinge,
    perceptual_distance,
)
from gpen_core.trainer import Sources
from gpen_core.trainer.backbones import backbone_losses, projected_discriminator
from gpen_core.trainer.loop import Limits
from gpen_core.trainer.optimise import gradient_at
from gpen_core.trainer.run import extra_losses
from gpen_core.weights.cache import sha256_of


class Eyes(nn.Module):
    """Two maps: the picture's edges, and its colours at half the size."""

    channels = (6, 3)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [torch.cat([x - x.roll(1, 3), x - x.roll(1, 2)], 1), F.avg_pool2d(x, 2)]


def source(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def lite0_tensors() -> dict[str, Tensor]:
    """Random weights under the names of the PyTorch port, with batch norms that do something."""
    draws = source(4)
    tensors: dict[str, Tensor] = {}

    def convolution(name: str, norm: str, outputs: int, inputs: int, size: int) -> None:
        tensors[f"{name}.weight"] = torch.randn(outputs, inputs, size, size, generator=draws) / math.sqrt(
            inputs * size**2
        )
        for part in ("weight", "bias", "running_mean", "running_var"):
            tensors[f"{norm}.{part}"] = torch.rand(outputs, generator=draws) + 0.5

    convolution("_conv_stem", "_bn0", 32, 3, 3)
    number, inputs = 0, 32
    for count, size, expansion, outputs in (
        (1, 3, 1, 16), (2, 3, 6, 24), (2, 5, 6, 40), (3, 3, 6, 80), (3, 5, 6, 112), (4, 5, 6, 192)
    ):  # fmt: skip
        for _ in range(count):
            start, middle = f"_blocks.{number}.", inputs * expansion
            if expansion > 1:
                convolution(f"{start}_expand_conv", f"{start}_bn0", middle, inputs, 1)
            convolution(f"{start}_depthwise_conv", f"{start}_bn1", middle, 1, size)
            convolution(f"{start}_project_conv", f"{start}_bn2", outputs, middle, 1)
            number, inputs = number + 1, outputs
    return tensors


def slow_lite0(tensors: dict[str, Tensor], picture: Tensor) -> list[Tensor]:
    """The same maps with batch norms written out, block by block."""
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = ((picture + 1) / 2 - mean[:, None, None]) / deviation[:, None, None]

    def step(x: Tensor, name: str, norm: str, stride: int, active: bool) -> Tensor:
        weight = tensors[f"{name}.weight"]
        total = max((-(-x.shape[-1] // stride) - 1) * stride + weight.shape[-1] - x.shape[-1], 0)
        x = F.pad(x, [total // 2, total - total // 2] * 2)
        x = F.conv2d(x, weight, stride=stride, groups=x.shape[1] if weight.shape[1] == 1 else 1)
        part = {n: tensors[f"{norm}.{n}"][:, None, None] for n in ("weight", "bias", "running_mean", "running_var")}
        x = (x - part["running_mean"]) / (part["running_var"] + 1e-3).sqrt() * part["weight"] + part["bias"]
        return x.clamp(0, 6) if active else x

    x = step(x, "_conv_stem", "_bn0", 2, True)
    strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1]
    maps = []
    for number, stride in enumerate(strides):
        start, before = f"_blocks.{number}.", x
        if f"{start}_expand_conv.weight" in tensors:
            x = step(x, f"{start}_expand_conv", f"{start}_bn0", 1, True)
        x = step(x, f"{start}_depthwise_conv", f"{start}_bn1", stride, True)
        x = step(x, f"{start}_project_conv", f"{start}_bn2", 1, False)
        if x.shape == before.shape:
            x = x + before
        if number in (0, 2, 4, 10, 14):
            maps.append(x)
    return maps


def test_efficientnet_gives_the_last_map_of_each_of_five_sizes_as_its_definition_says():
    tensors = lite0_tensors()
    picture = torch.rand(1, 3, 64, 64, generator=source()) * 2 - 1
    own, slow = EfficientNetLite0(tensors)(picture), slow_lite0(tensors, picture)
    assert [tuple(m.shape[1:]) for m in own] == [(16, 32, 32), (24, 16, 16), (40, 8, 8), (112, 4, 4), (192, 2, 2)]
    for mine, theirs in zip(own, slow, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))


def test_efficientnet_is_frozen_and_leaves_no_trace_in_what_is_saved():
    network = EfficientNetLite0(lite0_tensors())
    assert not list(network.parameters())
    assert not network.state_dict()
    with pytest.raises(TrainingError, match="not the weights of EfficientNet-Lite0"):
        EfficientNetLite0({"_conv_stem.weight": torch.zeros(32, 3, 3, 3)})


def test_the_perceptual_distance_is_one_minus_the_cosine_at_every_position_and_depth():
    a, b = (torch.randn(2, 5, 3, 4, dtype=torch.float64, generator=source(n)) for n in (1, 2))
    cosines = (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))
    expected = (1 - cosines).mean((1, 2))
    torch.testing.assert_close(perceptual_distance([a, a], [b, a]).double(), expected / 2, rtol=1e-5, atol=1e-6)
    loss = PerceptualLoss(Eyes())
    picture = torch.rand(1, 3, 8, 8, generator=source())
    assert float(loss(picture, picture)) == pytest.approx(0, abs=1e-5)
    assert float(loss(picture.flip(3), picture)) > 0.01


def test_hinge_losses_are_their_definition_and_count_heads_alike():
    real, fake = (
        [torch.tensor([[2.0, 0.5]]), torch.tensor([[0.0]])],
        [torch.tensor([[-3.0, 0.0]]), torch.tensor([[1.0]])],
    )
    assert float(discriminator_hinge(real, fake)) == pytest.approx((0.25 + 1) / 2 + (0.5 + 2) / 2)
    assert float(generator_hinge(fake)) == pytest.approx(-(-1.5 + 1) / 2)


def test_a_projected_discriminator_tells_blurred_pictures_apart_within_tens_of_steps():
    config = GPENConfig.standard(32, narrow=0.02)
    judge = ProjectedDiscriminator(config, Eyes(), generator=source())
    draws, adam = source(7), torch.optim.Adam(judge.parameters(), 2e-3, betas=(0.0, 0.99))
    for _ in range(40):
        real = torch.randn(8, 3, 32, 32, generator=draws)
        loss = discriminator_hinge(judge(real), judge(F.avg_pool2d(real, 3, 1, 1)))
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert float(loss.detach()) < 1.0
    names = set(judge.state_dict())
    assert {"mixing0", "mixing1"} <= names
    assert all(name.startswith(("mixing", "heads.")) for name in names)


def test_a_share_sets_the_length_of_a_terms_gradient_beside_the_contents():
    picture = torch.randn(2, 3, 4, 4, generator=source(), requires_grad=True)
    target = torch.randn(2, 3, 4, 4, generator=source(1))
    terms = {"content": (picture - target).square().mean(), "adversarial": 1e3 * picture.sin().mean()}
    alone = torch.autograd.grad(terms["content"], picture, retain_graph=True)[0]
    other = torch.autograd.grad(terms["adversarial"], picture, retain_graph=True)[0]
    total, scaled = gradient_at(picture, terms, {"adversarial": 0.5, "perceptual": 0.0})
    torch.testing.assert_close(total, alone + 0.5 * alone.norm() * other / other.norm())
    assert float(scaled["adversarial"].detach()) == pytest.approx(
        float((terms["adversarial"] * 0.5 * alone.norm() / other.norm()).detach())
    )


def test_a_recipe_with_a_projected_discriminator_trains_and_resumes_bit_identically(tmp_path):
    eyes = tmp_path / "eyes.safetensors"
    save_file(lite0_tensors(), eyes)
    losses = {
        "discriminator": "projected", "form": "hinge", "r1": 0.0, "path_length": 0.0, "feature_matching": 0.0,
        "perceptual": 0.5, "perceptual_share": 1.0, "texture": 0.5, "texture_share": 1.0, "adversarial_share": 0.5,
        "coarse": 0.1, "coarse_share": 2.0,
    }  # fmt: skip
    made = recipe(losses=losses, backbone={"name": "efficientnet-lite0", "sha256": sha256_of(eyes)})
    faces, device = make_faces(tmp_path / "faces"), torch.device("cpu")

    def run(out: str, images: int) -> dict[str, Tensor]:
        judge = projected_discriminator(made, eyes, device, source(made.seed))
        extra = extra_losses(made, Sources(perceptual=eyes), device)
        assert set(extra) == {"perceptual", "texture", "coarse"}
        one = loop(made, faces, tmp_path / out, extra=extra, discriminator=judge)
        one.run(Limits(images=images), silent)
        stage = one.stepper.stage
        return {**stage.generator.state_dict(), **stage.discriminator.state_dict()}

    run("halted", 6)
    halted, straight = run("halted", 12), run("straight", 12)
    assert all(torch.equal(halted[name], straight[name]) for name in straight)


def test_what_a_projected_discriminator_cannot_take_is_refused_by_name():
    with pytest.raises(ConfigError, match="takes no r1 and no feature_matching"):
        recipe(losses={"discriminator": "projected"})
    with pytest.raises(ConfigError, match="adversarial_share is a share of the content's gradient"):
        recipe(losses={"content": 0.0, "adversarial_share": 0.3})
    with pytest.raises(ConfigError, match="64 hexadecimal"):
        recipe(backbone={"sha256": "abc"})


def test_weights_of_another_backbone_than_the_recipes_are_refused(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "eyes.safetensors")
    made = recipe(backbone={"name": "efficientnet-lite0", "sha256": "0" * 64}, losses={"texture": 1.0})
    with pytest.raises(TrainingError, match="expected 000"):
        backbone_losses(made, tmp_path / "eyes.safetensors", torch.device("cpu"))
    with pytest.raises(ConfigError, match="looks through efficientnet-lite0"):
        projected_discriminator(recipe(), None, torch.device("cpu"), source())
