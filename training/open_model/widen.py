"""Gives a network more channels: python training/open_model/widen.py MODEL OUT.safetensors 64=96 128=48 256=24

The result makes the same pictures: what is added is drawn from the seed, and nothing that was there listens to it yet.
Training then finds room that is already in use, instead of a network that has forgotten.
"""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from gpen_core import GPEN, GPENConfig
from gpen_core.errors import ConfigError
from gpen_core.weights import checkpoint


def widened(state: dict[str, Tensor], config: GPENConfig, channels: dict[int, int], *, seed: int = 0) -> GPEN:
    """The network with `channels` (resolution → count, none smaller than before) instead of some of its own.

    state: of a StyleGAN2 GPEN that concatenates its features. Raises ConfigError for a narrower table.
    """
    table = {**config.channels, **channels}
    narrower = [r for r, count in config.channels.items() if table[r] < count]
    if narrower or set(channels) - set(config.channels):
        raise ConfigError(f"channels {channels} do not widen {dict(config.channels)}")
    model = GPEN(replace(config, channels=table), generator=torch.Generator().manual_seed(seed))
    drawn = model.state_dict()
    made = {name: _wider(name, state[name].float(), new, config, table) for name, new in drawn.items()}
    model.load_state_dict(made)
    return model


def _wider(name: str, old: Tensor, new: Tensor, config: GPENConfig, table: dict[int, int]) -> Tensor:
    """`new` with `old` in its place; what was there before takes nothing from what is added."""
    if old.shape == new.shape:
        return old
    encoder = re.fullmatch(r"ecd(\d+)\.0\.\d\.(weight|bias)", name)
    if encoder is not None:
        level = int(encoder[1])
        outputs = config.in_size >> level
        if encoder[2] == "bias":
            return _placed(old, torch.zeros_like(new), {0: _first(outputs, config)})
        before = torch.arange(3) if level == 0 else _first(config.in_size >> (level - 1), config)
        return _columns(old, new, 0, _first(outputs, config), 1, before)
    block = re.fullmatch(r"generator\.(convs|to_rgbs)\.(\d+)\.(.+)", name)
    if block is None:
        raise ConfigError(f"{name} changes its shape with the channels, and is not known here")
    number, part = int(block[2]), block[3]
    outputs = 8 << (number if block[1] == "to_rgbs" else number // 2)
    inputs = outputs // 2 if block[1] == "convs" and number % 2 == 0 else outputs
    both = _halves(inputs, config, table)
    if part == "conv.weight":
        rows = torch.arange(3) if block[1] == "to_rgbs" else _first(outputs, config)
        base = torch.zeros_like(new) if block[1] == "to_rgbs" else new
        return _columns(old, base, 1, rows, 2, both)
    if part == "conv.modulation.weight":
        return _placed(old, torch.zeros_like(new), {0: both})
    if part == "conv.modulation.bias":
        return _placed(old, torch.ones_like(new), {0: both})
    return _placed(old, torch.zeros_like(new), {0: _halves(outputs, config, table)})


def _first(resolution: int, config: GPENConfig) -> Tensor:
    """Where the channels of a resolution go: to the front."""
    return torch.arange(config.channels[resolution])


def _halves(resolution: int, config: GPENConfig, table: dict[int, int]) -> Tensor:
    """Where the channels and the features behind them go: to the front of each half."""
    first = _first(resolution, config)
    return torch.cat([first, first + table[resolution]])


def _placed(old: Tensor, new: Tensor, places: dict[int, Tensor]) -> Tensor:
    """A copy of `new` with `old` at these indices of each named dimension."""
    out = new.clone()
    for dimension, indices in places.items():
        out.index_copy_(dimension, indices, old)
    return out


def _columns(old: Tensor, new: Tensor, across: int, rows: Tensor, along: int, columns: Tensor) -> Tensor:
    """A copy of `new`: its `rows` take `old` at `columns`, for the larger fan-in, and nothing from the others."""
    block = torch.zeros_like(new.index_select(across, rows))
    # Equalised weights are divided by the root of the fan-in when they are used.
    block.index_copy_(along, columns, old * math.sqrt(new.shape[along] / old.shape[along]))
    return _placed(block, new, {across: rows})


def main() -> None:
    """Reads the command line and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("channels", nargs="+", metavar="RESOLUTION=CHANNELS")
    options = parser.parse_args()
    stored = checkpoint.read(options.model)
    channels = {int(r): int(c) for r, c in (pair.split("=") for pair in options.channels)}
    model = widened(dict(stored.state_dict()), stored.config, channels)
    checkpoint.write(options.out, model.state_dict(), model.config, stored.card)


if __name__ == "__main__":
    main()
