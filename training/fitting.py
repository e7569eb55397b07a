"""Trains small networks: the detector's second look, the occluder."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

_WARM_UP = 50  # steps
_SAVE_EVERY = 1.0  # minutes


def fit(
    network: nn.Module,
    cost: Callable[[], Tensor],
    save: Callable[[nn.Module, int], None],
    *,
    minutes: float,
    rate: float,
    memory: float,
) -> None:
    """Steps by AdamW until the minutes are over, down from `rate` along a cosine.

    cost: the loss of a batch of its own. save: is given a running mean of the network, and the steps done, every minute
    and at the end. memory: of the mean, a step: 0.99 remembers a hundred.
    """
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.02)
    mean = torch.optim.swa_utils.AveragedModel(
        network,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(memory),  # type: ignore[no-untyped-call]
        use_buffers=True,
    )
    started, step, saved, smooth = time.monotonic(), 0, 0.0, 0.0
    while (spent := (time.monotonic() - started) / 60) < minutes:
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, (step + 1) / _WARM_UP) * (1 + math.cos(math.pi * spent / minutes)) / 2
        loss = cost()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        mean.update_parameters(network)
        smooth = 0.98 * smooth + 0.02 * loss.item() if step else loss.item()
        step += 1
        if spent - saved > _SAVE_EVERY:
            saved = spent
            print(f"{spent:.0f} min, step {step}, loss {smooth:.4f}", flush=True)
            save(mean.module, step)
    save(mean.module, step)
