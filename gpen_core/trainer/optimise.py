"""Optimisers whose rates follow the run, and the steps that they take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .sharding import divided_like, whole

CONTENT = ("content", "fine")
"""The terms of the loss that compare pixels."""


class Processes(Protocol):
    """What training asks of accelerate."""

    num_processes: int

    def reduce(self, tensor: Tensor, reduction: str = "mean") -> Tensor:
        """The sum or mean of every process's tensor, on every process."""
        ...


def adam(
    groups: Mapping[str, Sequence[nn.Parameter]], *, beta2: float, lazy_every: int | None, beta1: float = 0.0
) -> torch.optim.Adam:
    """Adam for named groups; the rates are set by `set_rates`. lazy_every: interval of a lazy regulariser, whose steps
    come on top.

    With it, β becomes β^c for c = every / (every + 1), as the rate is multiplied by c (Karras et al. 2020, appendix B).
    """
    share = lazy_share(lazy_every)
    listed = [{"params": list(parameters), "name": name} for name, parameters in groups.items()]
    on_cuda = all(p.is_cuda for parameters in groups.values() for p in parameters)
    betas = (beta1**share, beta2**share)
    return torch.optim.Adam(listed, lr=1e-3, betas=betas, foreach=not on_cuda, fused=on_cuda)


def lazy_share(every: int | None) -> float:
    """c = every / (every + 1); 1 without a lazy regulariser."""
    return 1.0 if every is None else every / (every + 1)


def set_rates(optimiser: torch.optim.Optimizer, rates: Mapping[str, float], factor: float) -> None:
    """Each group's learning rate: its own, times `factor`."""
    for group in optimiser.param_groups:
        group["lr"] = rates[group["name"]] * factor


def finite_step(optimiser: torch.optim.Optimizer, *, clip: float = 0.0) -> bool:
    """Takes a step on the gradient, the mean of all processes, and clears it; False, and no step, where it is not
    finite.

    clip: largest norm over all parameters; 0: none. Every process decides alike, since all see the same mean.
    """
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = float(whole(torch.stack(torch._foreach_norm(gradients)).norm()))
    finite = math.isfinite(norm)
    if finite:
        if 0 < clip < norm:
            torch._foreach_mul_(gradients, clip / norm)
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return finite


def gradient_at(
    picture: Tensor, terms: Mapping[str, Tensor], shares: Mapping[str, float]
) -> tuple[Tensor, dict[str, Tensor]]:
    """(gradient of the loss at `picture`, its terms): a term with a share above 0 is scaled until its gradient is that
    many times as long as the content's (cf. the adaptive weight of VQGAN, Esser et al. 2021).

    A weight that fits when a run begins is too large at its end: the content's gradient falls, the others' do not.
    """
    asked = {name: share for name, share in shares.items() if share and name in terms}
    free = torch.stack([term for name, term in terms.items() if name not in asked]).sum()
    (total,) = torch.autograd.grad(free, picture, retain_graph=bool(asked))
    if not asked:
        return total, dict(terms)
    content = torch.stack([terms[name] for name in CONTENT if name in terms]).sum()
    (measure,) = torch.autograd.grad(content, picture, retain_graph=True)
    scaled = dict(terms)
    for name, share in asked.items():
        (gradient,) = torch.autograd.grad(terms[name], picture, retain_graph=True)
        factor = share * measure.norm() / gradient.norm().clamp(min=1e-20)
        total = total + factor * gradient
        scaled[name] = factor * terms[name]
    return total, scaled


def average_weights(average: nn.Module, current: nn.Module, decay: float) -> None:
    """`average` moved towards `current`: decay · average + (1 − decay) · current; buffers copied."""
    with torch.no_grad():
        torch._foreach_lerp_(list(average.parameters()), list(current.parameters()), 1 - decay)
        if buffers := list(average.buffers()):
            torch._foreach_copy_(buffers, list(current.buffers()))


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Moments and step counts as named tensors; `load_optimiser` puts them back. All processes ask together where they
    are divided.
    """
    state: Mapping[int, Mapping[str, Any]] = optimiser.state_dict()["state"]
    return {f"{index}.{name}": whole(value) for index, entry in state.items() for name, value in entry.items()}


def load_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Puts back what `optimiser_tensors` gave."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = divided_like(value, parameters[int(index)])
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def require_gradients(parameters: Iterable[nn.Parameter], needed: bool) -> None:
    """Switches gradients on or off."""
    for parameter in parameters:
        parameter.requires_grad_(needed)
