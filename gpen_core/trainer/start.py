"""Where weights come from when a run begins: a prior into a GPEN, a finished model and its discriminator, a smaller
network.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from ..architecture import DECODER, Prior, embed, prior_config
from ..config import GPENConfig, ModelCard
from ..errors import ConfigError, TrainingError
from ..weights import GPEN
from ..weights.description import decode
from ..weights.tensors import read_tensors


def read_network(
    path: Path, *, part: str | None = None
) -> tuple[dict[str, Tensor], GPENConfig | None, ModelCard | None]:
    """(float32 tensors, configuration and card if the file states them) of a prior, GPEN or discriminator.

    part: which network of a checkpoint of the reference's trainer (`g_ema`, `d`).
    """
    raw = read_tensors(path, part=part if path.suffix != ".safetensors" else None)
    header = decode(raw.metadata, str(path))
    return {name: t.float() for name, t in raw.tensors.items()}, header.config, header.card


def embed_prior(network: GPEN, prior: Mapping[str, Tensor], *, name: str) -> None:
    """Copies every tensor of a prior, as the decoder takes it (`Prior.adapted`), to `generator.<same name>`.

    Raises TrainingError when the prior does not fit, naming what differs; every tensor must find its place.
    """
    generator = network.generator
    found = prior_config({n: tuple(t.shape) for n, t in prior.items()})
    if generator.prior_name is not None and found is not None and found.prior != generator.prior_name:
        raise TrainingError(
            f"{name} is a {found.prior} prior and the recipe's network takes {generator.prior_name};"
            f" set network.prior = {found.prior!r}, or give another file"
        )
    inside = embed(generator.adapted(prior))
    place = DECODER + generator.prior_place
    expected = {n: t for n, t in network.state_dict().items() if n.startswith(place) or n in inside}
    _check_fit(inside, expected, name)
    network.load_state_dict(inside, strict=False)


def change_range(network: GPEN, before: tuple[float, float], after: tuple[float, float]) -> None:
    """Makes the network give the same pictures in the range `after` instead of `before`.

    Raises ConfigError where its prior cannot be converted.
    """
    if before == after:
        return
    scale = (after[1] - after[0]) / (before[1] - before[0])
    network.generator.change_range(scale, after[0] - before[0] * scale)


def load_discriminator(network: nn.Module, state: Mapping[str, Tensor], *, name: str) -> None:
    """Raises TrainingError when the tensors do not fit."""
    _check_fit(state, network.state_dict(), name)
    network.load_state_dict(dict(state))


def load_generator(network: nn.Module, state: Mapping[str, Tensor], *, name: str) -> None:
    """The whole state of a prior or a GPEN. Raises TrainingError when it does not fit."""
    _check_fit(state, network.state_dict(), name)
    network.load_state_dict(dict(state))


def grow(network: nn.Module, smaller: Mapping[str, Tensor]) -> None:
    """Copies a network of half the size (or less) into `network`: the same pictures, brought to size.

    What is new in an encoder or a discriminator keeps its fresh weights; what is new in a prior, it says itself.
    Raises TrainingError when a shared tensor has another shape, ConfigError for a prior that cannot grow.
    """
    prior = network if isinstance(network, Prior) else network.generator if isinstance(network, GPEN) else None
    if prior is not None:
        prior.require("grow")
    own = network.state_dict()
    shared = {n: t for n, t in _renamed_blocks(smaller, own).items() if n in own}
    differing = [n for n, t in shared.items() if own[n].shape != t.shape]
    if differing or not shared:
        raise TrainingError(
            f"the smaller network does not fit into this one: {', '.join(differing[:3]) or 'no common tensor'};"
            " both need one channel table"
        )
    if prior is network:
        shared = network.grown(shared)
    elif prior is not None:
        inside = {n.removeprefix(DECODER): t for n, t in shared.items() if n.startswith(DECODER)}
        shared |= embed(prior.grown(inside))
    network.load_state_dict({**own, **shared})


def _renamed_blocks(smaller: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder and the discriminator count their blocks from the largest resolution: shifted, and their first block
    left out.
    """
    for template, owner in (("ecd{}.", "ecd0."), ("convs.{}.", "final_conv.")):
        if not any(n.startswith(owner) for n in own):
            continue
        before, after = (_count_blocks(state, template) for state in (smaller, own))
        shift = after - before
        if before and shift > 0:
            moved = {
                n: t for n, t in smaller.items() if not any(n.startswith(template.format(i)) for i in range(before))
            }
            for i in range(1, before):
                old, new = template.format(i), template.format(i + shift)
                moved.update({new + n.removeprefix(old): t for n, t in smaller.items() if n.startswith(old)})
            return moved
    return dict(smaller)


def _count_blocks(state: Mapping[str, Tensor], template: str) -> int:
    count = 0
    while any(n.startswith(template.format(count)) for n in state):
        count += 1
    return count


def same_config(ours: GPENConfig, theirs: GPENConfig | None, where: str, *, apart: tuple[str, ...] = ()) -> None:
    """Raises ConfigError that names both where a file states another configuration; apart: fields that may differ."""
    if theirs is None:
        return
    mine, other = ours.to_dict(), theirs.to_dict()
    names = [k for k in {**mine, **other} if k not in apart and mine.get(k) != other.get(k)]
    if names:
        differing = ", ".join(f"{k} {other.get(k)} there and {mine.get(k)} here" for k in names)
        table = ",".join(f"{size}={count}" for size, count in theirs.channels.items())
        remedy = f"; --set 'network.channels={{{table}}}' takes those there" if "channels" in names else ""
        raise ConfigError(f"{where} has another configuration than the recipe: {differing}{remedy}")


def _check_fit(given: Mapping[str, Tensor], expected: Mapping[str, Tensor], name: str) -> None:
    missing, unexpected = sorted(expected.keys() - given.keys()), sorted(given.keys() - expected.keys())
    differing = [
        f"{n} {tuple(given[n].shape)} there, {tuple(expected[n].shape)} here"
        for n in sorted(given.keys() & expected.keys())
        if given[n].shape != expected[n].shape
    ]
    if missing or unexpected or differing:
        lists = [
            f"{label}: {', '.join(names[:4])} ({len(names)})"
            for label, names in (("missing", missing), ("unexpected", unexpected), ("other shape", differing))
            if names
        ]
        raise TrainingError(
            f"{name} does not fit the recipe's network: {'; '.join(lists)}; use the recipe it was trained with"
        )
