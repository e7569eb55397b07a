"""Where weights come from when a run begins: a prior into a GPEN, a finished model and its discriminator, a smaller
network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ..architecture import Discriminator, build_prior, embed
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
    """Copies every tensor of a prior to `generator.<same name>`; an add-noise prior enters a concatenating decoder
    (`concatenated`).

    Raises TrainingError when the prior does not fit, naming what differs; every tensor must find its place.
    """
    state = dict(prior)
    if network.config.concat and state["conv1.activate.bias"].numel() == network.config.channels[4]:
        state = concatenated(state, network.config)
    inside = embed(state)
    expected = {n: t for n, t in network.state_dict().items() if n.startswith("generator.")}
    _check_fit(inside, expected, name)
    network.load_state_dict(inside, strict=False)


def concatenated(prior: Mapping[str, Tensor], config: GPENConfig) -> dict[str, Tensor]:
    """An add-noise prior's tensors widened for a decoder that concatenates: without features the same pictures.

    The new half of every input gets zero columns; equalised weights are multiplied by √2 for the doubled fan-in; its
    features are let in
    with weight 1, or no gradient would ever reach those columns.
    """
    widened = dict(prior)
    for name, tensor in prior.items():
        if name.endswith("activate.bias"):
            widened[name] = torch.cat([tensor, torch.zeros_like(tensor)])
        elif name.endswith("noise.weight"):
            widened[name] = torch.ones_like(tensor).reshape(1)
        elif name.startswith("conv1."):
            continue
        elif name.endswith("conv.weight"):
            widened[name] = torch.cat([tensor, torch.zeros_like(tensor)], dim=2) * math.sqrt(2)
        elif name.endswith("modulation.weight"):
            widened[name] = torch.cat([tensor, torch.zeros_like(tensor)])
        elif name.endswith("modulation.bias"):
            widened[name] = torch.cat([tensor, torch.ones_like(tensor)])
    # Stock files keep the noise pictures themselves as buffers; GPEN has none.
    known = build_prior(config).state_dict()
    return {name: tensor for name, tensor in widened.items() if name in known or not name.startswith("noises.")}


def change_range(network: GPEN, before: tuple[float, float], after: tuple[float, float]) -> None:
    """Makes the network give the same pictures in the range `after` instead of `before`.

    The picture is a sum of what each resolution adds: all are scaled, and the last one's bias is moved.
    """
    scale = (after[1] - after[0]) / (before[1] - before[0])
    with torch.no_grad():
        last = None
        for name, parameter in network.generator.named_parameters():
            if "to_rgb" in name and name.endswith((".conv.weight", ".bias")) and "modulation" not in name:
                parameter.mul_(scale)
                last = parameter if name.endswith(".bias") else last
        if last is not None:
            last.add_(after[0] - before[0] * scale)


def load_discriminator(network: Discriminator, state: Mapping[str, Tensor], *, name: str) -> None:
    """Raises TrainingError when the tensors do not fit."""
    _check_fit(state, network.state_dict(), name)
    network.load_state_dict(dict(state))


def load_generator(network: nn.Module, state: Mapping[str, Tensor], *, name: str) -> None:
    """The whole state of a prior or a GPEN. Raises TrainingError when it does not fit."""
    _check_fit(state, network.state_dict(), name)
    network.load_state_dict(dict(state))


def grow(network: GPEN | nn.Module, smaller: Mapping[str, Tensor]) -> None:
    """Copies a network of half the size (or less) into `network`: the same pictures, brought to size.

    New resolutions keep their fresh weights, except that what they add to the picture starts at zero.
    Raises TrainingError when a shared tensor has another shape.
    """
    own = network.state_dict()
    renamed = _renamed_encoder(smaller, own)
    shared = {n: t for n, t in renamed.items() if n in own}
    differing = [n for n, t in shared.items() if own[n].shape != t.shape]
    if differing or not shared:
        raise TrainingError(
            f"the smaller network does not fit into this one: {', '.join(differing[:3]) or 'no common tensor'};"
            " both need one channel table"
        )
    fresh = {
        n: torch.zeros_like(t)
        for n, t in own.items()
        if "to_rgbs" in n and n not in shared and n.endswith((".conv.weight", ".bias")) and "modulation" not in n
    }
    network.load_state_dict({**own, **shared, **fresh})


def _renamed_encoder(smaller: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The encoder and the discriminator count their blocks from the largest resolution: shifted, and their first block
    left out.
    """
    for kind, template in (("encoder", "ecd{}."), ("discriminator", "convs.{}.")):
        if kind == "discriminator" and "final_conv.0.weight" not in own:
            continue
        counts = []
        for state in (smaller, own):
            count = 0
            while any(n.startswith(template.format(count)) for n in state):
                count += 1
            counts.append(count)
        shift = counts[1] - counts[0]
        if counts[0] and shift > 0:
            moved = {
                n: t for n, t in smaller.items() if not any(n.startswith(template.format(i)) for i in range(counts[0]))
            }
            for i in range(1, counts[0]):
                prefix = template.format(i)
                moved.update(
                    {
                        template.format(i + shift) + n.removeprefix(prefix): t
                        for n, t in smaller.items()
                        if n.startswith(prefix)
                    }
                )
            return moved
    return dict(smaller)


def same_config(ours: GPENConfig, theirs: GPENConfig | None, where: str) -> None:
    """Raises ConfigError that names both where a file states another configuration."""
    if theirs is None or ours == theirs:
        return
    mine, other = ours.to_dict(), theirs.to_dict()
    differing = ", ".join(f"{k} {other[k]} there and {mine[k]} here" for k in mine if mine[k] != other[k])
    raise ConfigError(f"{where} has another configuration than the recipe: {differing}")


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
