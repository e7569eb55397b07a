"""Mixes two networks of one configuration: python training/open_model/mix.py A.safetensors B.safetensors SHARE OUT

The content loss alone gives the least error and soft pictures, the discriminator sharp ones that err more. Between the
two lies a line of networks (network interpolation: Wang et al., "ESRGAN" (2018), §3.4); SHARE of B (0 … 1) picks one.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from gpen_core.errors import ConfigError
from gpen_core.weights import checkpoint
from gpen_core.weights.checkpoint import Checkpoint


def mix(first: Checkpoint, second: Checkpoint, share: float) -> dict[str, Tensor]:
    """(1 − share) · first + share · second, in float32. Raises ConfigError for two configurations, or a wrong share."""
    if first.config != second.config:
        raise ConfigError("the two networks have different configurations; mix two results of one recipe")
    if not 0 <= share <= 1:
        raise ConfigError(f"the share is {share}; expected a number from 0 to 1")
    return {
        name: first.state_dict[name].float().lerp(tensor.float(), share) for name, tensor in second.state_dict.items()
    }


def main() -> None:
    """Reads the command line and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("share", type=float)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    first, second = checkpoint.read(options.first), checkpoint.read(options.second)
    seen = [stored.card.details.get("images_seen", {}) for stored in (first, second)]
    details = {**second.card.details, "mixed": {"share_of_second": options.share, "images_seen": seen}}
    card = replace(second.card, details=details)
    checkpoint.write(options.out, mix(first, second, options.share), second.config, card)


if __name__ == "__main__":
    main()
