"""Makes a network pass its input through: python training/open_model/pass_through.py MODEL OUT.safetensors

MODEL is a file, or a recipe (.toml) whose network is then drawn from its seed: the start of a run without a prior.

A young network spends most of its steps on repeating what it was given. Here the first layer of the encoder carries
each colour and its negative, the largest feature enters with weight 1, and the last RGB output adds them up to the
input; what all other RGB outputs add starts at zero. Training then learns corrections. Shapes and names stay GPEN's.

With a prior (RECIPE.toml OUT --prior PRIOR --above 64) its RGB outputs up to 64 px are kept, and the input adds only
what a picture of 64 px lacks: the prior is asked for the face, the input for what it still shows.
"""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from gpen_core.config import GPENConfig
from gpen_core.errors import ConfigError
from gpen_core.trainer import read_recipe
from gpen_core.trainer.start import read_network
from gpen_core.weights import GPEN, checkpoint

# Two leaky ReLU(0.2)·√2 in a row turn x and −x into 2x and −0.08x (or 0.08x and −2x): 2.08x apart, whatever the sign.
APART = 2.0 + 2 * 0.2**2
LEAST_FEATURE_WEIGHT = 0.3
_CARRIED = 6


def pass_through(state: dict[str, Tensor], config: GPENConfig, *, above: int | None = None) -> dict[str, Tensor]:
    """The same weights, but for the input's own way through: all of it, or what a picture of `above` pixels lacks.

    Raises ConfigError where it has no room.
    """
    sizes = [r for r in config.resolutions if above is None or r >= above]
    narrow = [r for r in (sizes if above else sizes[-1:]) if config.channels[r] < _CARRIED]
    if config.in_size != config.out_size or not config.options.concat or narrow or len(sizes) < 2:
        raise ConfigError(f"in = out with six concatenated channels at each size it passes is needed, got {config}")
    changed = {name: tensor.clone() for name, tensor in state.items()}
    signs = torch.cat([torch.eye(3), -torch.eye(3)])
    _carry(changed, 0, signs * math.sqrt(3))
    for name in changed:
        if name.endswith("noise.weight"):
            changed[name] = changed[name].abs().clamp(min=LEAST_FEATURE_WEIGHT)
        output = re.match(r"generator\.to_rgb(?:1|s\.(\d+))\.", name)
        small = output is not None and (8 << int(output[1]) if output[1] else 4) <= (above or 0)
        if output and not small and name.endswith(("conv.weight", ".bias")) and "modulation" not in name:
            changed[name].zero_()
    _show(changed, config, config.out_size, signs)
    if above is not None:
        # A colour and its negative through leaky ReLU(0.2)·√2 are 1.2·√2 times the colour apart.
        through = signs @ signs.T / (1.2 * math.sqrt(2))
        for level in range(1, (config.out_size // above).bit_length()):
            _carry(changed, level, through * math.sqrt(9 * config.channels[config.in_size >> (level - 1)]))
        _show(changed, config, above, -signs)
    return changed


def _carry(state: dict[str, Tensor], level: int, weight: Tensor) -> None:
    """Makes the first six channels of encoder block `level` those before it, times `weight`, at the same place."""
    name, middle = (f"ecd{level}.0.0", 0) if level == 0 else (f"ecd{level}.0.1", 1)
    block = state[f"{name}.weight"]
    block[:_CARRIED] = 0
    block[:_CARRIED, : weight.shape[1], middle, middle] = weight
    state[f"{name[:-1]}{int(name[-1]) + 1}.bias"][:_CARRIED] = 0


def _show(state: dict[str, Tensor], config: GPENConfig, size: int, signs: Tensor) -> None:
    """Makes the RGB output at `size` add the picture that the encoder carries there."""
    level, width = int(math.log2(size)) - 3, config.channels[size]
    half, rgb = f"generator.convs.{2 * level + 1}", f"generator.to_rgbs.{level}.conv"
    carried = slice(width, width + _CARRIED)
    state[f"{half}.noise.weight"].fill_(1)
    state[f"{half}.activate.bias"][carried] = 0
    state[f"{rgb}.weight"][0, :, carried, 0, 0] = signs.T / APART * math.sqrt(2 * width)
    state[f"{rgb}.modulation.weight"][carried] = 0
    state[f"{rgb}.modulation.bias"][carried] = 1


def drawn(path: Path, prior: Path | None = None) -> GPEN:
    """The untrained network of a recipe; prior: what its decoder begins as, of its size or smaller."""
    recipe = read_recipe(path)
    config, card = recipe.network.config, recipe.card()
    model = GPEN(config, card, generator=torch.Generator().manual_seed(recipe.seed))
    if prior is not None:
        state, _, about = read_network(prior)
        model.generator.load_state_dict(model.prior.grown(state))
        seen = about.details.get("images_seen", {}) if about is not None else {}
        model.card = replace(card, details={"images_seen": seen})
    return model


def main() -> None:
    """Reads the command line and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--prior", type=Path, help="what the decoder of a recipe's network begins as")
    parser.add_argument("--above", type=int, metavar="SIZE", help="keep the RGB outputs up to this size")
    options = parser.parse_args()
    recipe = options.model.suffix == ".toml"
    stored = drawn(options.model, options.prior) if recipe else checkpoint.read(options.model)
    details = {**stored.card.details, "passed_through_at": stored.card.details.get("images_seen", {})}
    card = replace(stored.card, details=details)
    state = pass_through(dict(stored.state_dict()), stored.config, above=options.above)
    checkpoint.write(options.out, state, stored.config, card)


if __name__ == "__main__":
    main()
