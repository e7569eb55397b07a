"""Makes a network one of twice the size: python training/open_model/enlarge.py RECIPE.toml MODEL OUT.safetensors

RECIPE's network has one level more than MODEL's, in and out. At first its results are MODEL's for the picture at half
the size, enlarged: the new first level carries each colour and its negative, the next one does what MODEL's first did,
and what the new level of the decoder adds to the picture starts at zero.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

import torch

from gpen_core.architecture import Network
from gpen_core.errors import ConfigError
from gpen_core.trainer import Recipe, read_recipe
from gpen_core.trainer.start import grow
from gpen_core.weights import GPEN, checkpoint

FEATURE_WEIGHT = 0.3
_CARRIED = 6


def enlarged(recipe: Recipe, smaller: Network) -> GPEN:
    """The recipe's network, with `smaller` inside. Raises ConfigError where it is not one level more."""
    config = recipe.network.config
    size, width = smaller.config.in_size, config.channels[config.in_size]
    if (config.in_size, config.out_size) != (2 * size, 2 * smaller.config.out_size) or width < _CARRIED:
        raise ConfigError(f"a network of twice {size} px with six channels there is needed, got {config}")
    seen = smaller.card.details.get("images_seen", {})
    card = replace(recipe.card(), details={"images_seen": {f"{stage}, smaller": n for stage, n in seen.items()}})
    model = GPEN(config, card, generator=torch.Generator().manual_seed(recipe.seed))
    grow(model, smaller.state_dict())
    first = smaller.get_parameter("ecd0.0.0.weight")[:, :, 0, 0]
    signs = torch.cat([torch.eye(3), -torch.eye(3)])
    last = len(config.resolutions) - 2
    with torch.no_grad():
        model.get_parameter("ecd0.0.0.weight")[:_CARRIED, :, 0, 0] = signs * math.sqrt(3)
        model.get_parameter("ecd0.0.1.bias")[:_CARRIED] = 0
        block = model.get_parameter("ecd1.0.1.weight")
        block.zero_()
        # A colour and its negative through leaky ReLU(0.2)·√2 are 1.2·√2 times the colour apart.
        block[:, :_CARRIED, 1, 1] = first @ signs.T * (math.sqrt(9 * width / 3) / (1.2 * math.sqrt(2)))
        model.get_parameter("ecd1.0.2.bias").copy_(smaller.get_parameter("ecd0.0.1.bias"))
        for number in (2 * last, 2 * last + 1):
            model.get_parameter(f"generator.convs.{number}.noise.weight").fill_(FEATURE_WEIGHT)
    return model


def main() -> None:
    """Reads the command line and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("recipe", "model", "out"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    model = enlarged(read_recipe(options.recipe), checkpoint.read(options.model))
    checkpoint.write(options.out, model.state_dict(), model.config, model.card)


if __name__ == "__main__":
    main()
