"""Adds to a network what training changed: python training/open_model/mix.py A B SHARE OUT [--since C]

The result is A + SHARE · (B − C), C being A where it is not given: then SHARE from 0 to 1 goes along the line from A to
B. The content loss alone gives the least error and soft pictures, the discriminator sharp ones that err more; between
the two lies a line of networks (network interpolation: Wang et al., "ESRGAN" (2018), §3.4). A SHARE above 1 goes on
beyond B, and C brings in what another run has learned since C. The card is that of A or B, whichever has seen more.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from gpen_core.errors import ConfigError
from gpen_core.weights import checkpoint
from gpen_core.weights.checkpoint import Checkpoint


def mix(first: Checkpoint, second: Checkpoint, share: float, since: Checkpoint | None = None) -> dict[str, Tensor]:
    """first + share · (second − since), in float32; since: None for first. Raises ConfigError for other configurations
    of one of them.
    """
    since = since or first
    if not first.config == second.config == since.config:
        raise ConfigError("the networks have different configurations; mix results of one recipe")
    return {
        name: tensor.float() + share * (second.state_dict[name].float() - since.state_dict[name].float())
        for name, tensor in first.state_dict.items()
    }


def main() -> None:
    """Reads the command line and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("share", type=float)
    parser.add_argument("out", type=Path)
    parser.add_argument("--since", type=Path)
    options = parser.parse_args()
    first, second = checkpoint.read(options.first), checkpoint.read(options.second)
    since = None if options.since is None else checkpoint.read(options.since)
    seen = [stored.card.details.get("images_seen", {}) for stored in (first, second)]
    card = max((first.card, second.card), key=lambda card: sum(card.details.get("images_seen", {}).values()))
    mixed = [*card.details.get("mixed", []), {"share_of_second": options.share, "images_seen": seen}]
    card = replace(card, details={**card.details, "mixed": mixed})
    checkpoint.write(options.out, mix(first, second, options.share, since), second.config, card)


if __name__ == "__main__":
    main()
