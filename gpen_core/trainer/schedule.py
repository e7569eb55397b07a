"""What changes with the images seen: the learning rates, and how fast the average follows."""

from __future__ import annotations

import torch

from .optimise import lazy_share, set_rates
from .progress import Progress
from .recipe import Recipe


def set_step_rates(
    recipe: Recipe, progress: Progress, generator_adam: torch.optim.Optimizer, discriminator_adam: torch.optim.Optimizer
) -> None:
    """The rates of the step that comes: risen by `warmup_images`, the generator's fallen by `half_life`."""
    rates, losses = recipe.rates, recipe.losses
    since = progress.images - progress.started_at
    warm = min(1.0, (since + 1) / rates.warmup_images) if rates.warmup_images else 1.0
    fallen = 0.5 ** (since / rates.half_life) if rates.half_life else 1.0
    own = rates.fresh_discriminator if progress.images < progress.fresh_until else rates.discriminator
    generator_rates = {"encoder": rates.encoder, "decoder": rates.decoder}
    set_rates(generator_adam, generator_rates, warm * fallen * lazy_share(losses.path_interval))
    set_rates(discriminator_adam, {"discriminator": own}, warm * lazy_share(losses.r1_interval))


def average_decay(recipe: Recipe, progress: Progress, seen: int) -> float:
    """What is left of the average after a step of `seen` images."""
    run = recipe.run
    half_life = run.ema_half_life
    if run.ema_ramp is not None:
        half_life = min(half_life, max(1.0, (progress.images - progress.started_at) * run.ema_ramp))
    return float(0.5 ** (seen / half_life))
