"""Networks small enough to make, write and read in a moment."""

from pathlib import Path

import torch

from gpen_core import GPEN
from gpen_core.config import GPENConfig, ModelCard

SMALL = GPENConfig.standard(16, narrow=1 / 64, style_dim=16, n_mlp=2)
CARD = ModelCard(name="small", licence="Apache-2.0", origin="a test", details={"figures": [1, 2.5]})


def small_model(config: GPENConfig = SMALL, card: ModelCard | None = CARD, seed: int = 0) -> GPEN:
    """A network whose features matter (they start at weight zero)."""
    model = GPEN(config, card, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("noise.weight"):
                parameter.fill_(0.5)
    return model.eval()


def small_state() -> dict[str, torch.Tensor]:
    """The parameters of a small network."""
    return dict(small_model().state_dict())


def pickled(path: Path, held: object) -> Path:
    """The path, after torch has saved there what is held."""
    torch.save(held, path)
    return path
