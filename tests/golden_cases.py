"""Finds the golden cases: those beside the tests, and more in the folder that GPEN_PARITY names."""

import json
import os
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from gpen_core.config import GPENConfig

ROOTS = [Path(__file__).parent / "golden"]
if os.environ.get("GPEN_PARITY"):
    ROOTS.append(Path(os.environ["GPEN_PARITY"]))


def cases(kind: str) -> list[Path]:
    found = {}
    for root in ROOTS:
        for path in sorted(root.glob("*/config.json")):
            if json.loads(path.read_text()).get("kind") == kind:
                found.setdefault(path.parent.name, path.parent)
    return list(found.values())


def load(case: Path) -> tuple[GPENConfig, dict[str, Tensor], dict[str, Tensor]]:
    """Configuration, weights, inputs and outputs of a case."""
    values: dict[str, Any] = json.loads((case / "config.json").read_text())
    out_size = values.get("out_size", values.get("in_size"))
    config = GPENConfig.standard(
        values.get("in_size", out_size),
        out_size=out_size,
        channel_multiplier=values["channel_multiplier"],
        narrow=values["narrow"],
        style_dim=values.get("style_dim", 512),
        n_mlp=values.get("n_mlp", 8),
        concat=values.get("isconcat", True),
    )
    return config, load_file(case / "weights.safetensors"), load_file(case / "io.safetensors")
