"""The two lazy regularisers of StyleGAN2, R1 on the discriminator and path length on the generator; WGAN-GP's penalty.

They differentiate twice; call them outside autocast, on float32 tensors or wider.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InputError


def r1_penalty(real_score: Tensor, real: Tensor) -> Tensor:
    """Scalar: squared norm of d score / d picture, mean over the batch (Mescheder et al. 2018).

    real: (B, 3, H, W), requiring a gradient, from which `real_score` (B, 1) was computed. The caller multiplies by
    weight / 2 × interval.
    """
    _refuse_half(real_score)
    (gradient,) = torch.autograd.grad(real_score.sum(), real, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean()


def gradient_penalty(score: Tensor, pictures: Tensor) -> Tensor:
    """Scalar: squared distance from 1 of the norm of d score / d picture, mean over the batch (Gulrajani et al. 2017).

    pictures: (B, 3, H, W), from `between`, of which `score` was computed.
    """
    _refuse_half(score)
    (gradient,) = torch.autograd.grad(score.sum(), pictures, create_graph=True)
    slope: Tensor = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return (slope - 1).square().mean()


def between(real: Tensor, made: Tensor, share: Tensor) -> Tensor:
    """Pictures on the lines from `real` to `made` (B, 3, H, W), by `share` (B,) of the way; a leaf with a gradient."""
    return torch.lerp(real, made, share[:, None, None, None]).detach().requires_grad_(True)


def path_length_penalty(
    pictures: Tensor, latents: Tensor, mean: Tensor, noise: Tensor, decay: float = 0.01
) -> tuple[Tensor, Tensor, Tensor]:
    """(penalty, new mean, lengths): how far |J^T y| is from its running mean (Karras et al. 2020, §3.2).

    pictures: (B, 3, H, W), computed from latents (B, n_latent, D), which require a gradient. noise: standard normal,
    shaped like `pictures`.
    mean: scalar running mean of the lengths (B,). The new mean, detached, is what the caller keeps.
    As in StyleGAN2 the penalty's gradient runs through the new mean too.
    """
    _refuse_half(pictures)
    height, width = pictures.shape[-2:]
    (gradient,) = torch.autograd.grad((pictures * noise).sum() / (height * width) ** 0.5, latents, create_graph=True)
    lengths = gradient.square().sum(2).mean(1).sqrt()
    new_mean = mean + decay * (lengths.mean() - mean)
    return (lengths - new_mean).square().mean(), new_mean.detach(), lengths.detach()


def _refuse_half(value: Tensor) -> None:
    if value.itemsize < 4:
        raise InputError(
            f"a regulariser was given {value.dtype}; it differentiates twice and needs float32: leave autocast"
        )
