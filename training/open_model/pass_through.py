"""Makes a network pass its input through: python training/open_model/pass_through.py MODEL OUT.safetensors

MODEL is a file, or a recipe (.toml) whose network is then drawn from its seed: the start of a run without a prior.

A young network spends most of its steps on repeating what it was given. Here the first layer of the encoder carries
each colour and its negative, the largest feature enters with weight 1, and the last RGB output adds them up to the
input; what all other RGB outputs add starts at zero. Training then learns corrections. Shapes and names stay GPEN's.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from gpen_core.config import GPENConfig
from gpen_core.errors import ConfigError
from gpen_core.trainer import read_recipe
from gpen_core.weights import GPEN, checkpoint

# Two leaky ReLU(0.2)·√2 in a row turn x and −x into 2x and −0.08x (or 0.08x and −2x): 2.08x apart, whatever the sign.
APART = 2.0 + 2 * 0.2**2
LEAST_FEATURE_WEIGHT = 0.3


def pass_through(state: dict[str, Tensor], config: GPENConfig) -> dict[str, Tensor]:
    """The same weights, but for the input's own way through. Raises ConfigError where it has no room."""
    width = config.channels[config.out_size]
    if config.in_size != config.out_size or not config.options.concat or width < 6:
        raise ConfigError(f"six concatenated channels are needed at {config.out_size} px, in = out; there are {width}")
    changed = {name: tensor.clone() for name, tensor in state.items()}
    signs = torch.cat([torch.eye(3), -torch.eye(3)])
    changed["ecd0.0.0.weight"][:6, :, 0, 0] = signs * math.sqrt(3)
    changed["ecd0.0.1.bias"][:6] = 0
    for name in changed:
        if name.endswith("noise.weight"):
            changed[name] = changed[name].abs().clamp(min=LEAST_FEATURE_WEIGHT)
        if "to_rgb" in name and name.endswith(("conv.weight", ".bias")) and "modulation" not in name:
            changed[name].zero_()
    last = len(config.resolutions) - 2
    half = f"generator.convs.{2 * last + 1}"
    changed[f"{half}.noise.weight"].fill_(1)
    changed[f"{half}.activate.bias"][width : width + 6] = 0
    rgb = f"generator.to_rgbs.{last}.conv"
    changed[f"{rgb}.weight"][0, :, width : width + 6, 0, 0] = signs.T / APART * math.sqrt(2 * width)
    changed[f"{rgb}.modulation.weight"][width : width + 6] = 0
    changed[f"{rgb}.modulation.bias"][width : width + 6] = 1
    return changed


def drawn(path: Path) -> GPEN:
    """The untrained network of a recipe."""
    recipe = read_recipe(path)
    config, card = recipe.network.config, recipe.card()
    return GPEN(config, card, generator=torch.Generator().manual_seed(recipe.seed))


def main() -> None:
    """Reads the command line and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    stored = drawn(options.model) if options.model.suffix == ".toml" else checkpoint.read(options.model)
    details = {**stored.card.details, "passed_through_at": stored.card.details.get("images_seen", {})}
    card = replace(stored.card, details=details)
    checkpoint.write(options.out, pass_through(dict(stored.state_dict()), stored.config), stored.config, card)


if __name__ == "__main__":
    main()
