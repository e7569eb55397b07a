"""The mean of two stages of one run: python training/open_model/average.py EARLIER LATER SHARE OUT.safetensors

EARLIER and LATER are models of the same shapes, one trained on from the other; between them the figures of a mean
move evenly (cf. Wortsman et al. 2022, "Model soups"), so that SHARE, LATER's, chooses between what each does better.
The card is LATER's.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from gpen_core.architecture import Network
from gpen_core.errors import ConfigError
from gpen_core.weights import checkpoint


def mean(earlier: Network, later: Network, share: float) -> dict[str, torch.Tensor]:
    """Every tensor of `earlier` moved towards `later`'s by `share`. Raises ConfigError where shapes differ."""
    if earlier.config != later.config:
        raise ConfigError(f"models of one configuration have a mean; got {earlier.config} and {later.config}")
    first, second = earlier.state_dict(), later.state_dict()
    return {name: torch.lerp(tensor, second[name], share) for name, tensor in first.items()}


def main() -> None:
    """Reads the command line and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("earlier", type=Path)
    parser.add_argument("later", type=Path)
    parser.add_argument("share", type=float)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    earlier, later = checkpoint.read(options.earlier), checkpoint.read(options.later)
    card = replace(later.card, details={**later.card.details, "averaged": options.share})
    checkpoint.write(options.out, mean(earlier, later, options.share), later.config, card)


if __name__ == "__main__":
    main()
