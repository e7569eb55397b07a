"""Two networks in one: which of them is asked depends on how large the faces are that it is given."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from ..errors import ConfigError, InputError
from .prepared import PreparedGPEN

# Of a card: what faces are shown as, and what is done with the results.
_ALIKE = ("task", "value_range", "template", "border", "sharpen")


class SizedGPEN(nn.Module):
    """`small` for faces of its input size, `large` for those of its own, called alike.

    config, card and file are those of `small`, the card under `name`; larger: the configuration of `large`. It is for
    who cuts out the faces to choose (`contracts.larger_of`). Raises ConfigError where the two do not go together.
    """

    def __init__(self, small: PreparedGPEN, large: PreparedGPEN, *, name: str) -> None:
        super().__init__()
        shown = [tuple(getattr(model.card, name) for name in _ALIKE) for model in (small, large)]
        if small.config.in_size >= large.config.in_size or shown[0] != shown[1]:
            raise ConfigError(
                f"{small.card.name} and {large.card.name} do not go together: the second has to take larger faces, "
                "aligned and scaled like the first's"
            )
        self.small, self.large = small, large
        self.config, self.larger = small.config, large.config
        self.card = replace(small.card, name=name)
        self.file = small.file
        self.eval()

    @property
    def files(self) -> tuple[Path | None, Path | None]:
        """What the two were read from."""
        return self.small.file, self.large.file

    @property
    def precision(self) -> str:
        """What the two compute in; asking `auto` models makes them decide."""
        return " and ".join(dict.fromkeys([self.small.precision, self.large.precision]))

    @property
    def form(self) -> str:
        """As `PreparedGPEN` has it."""
        return self.small.form

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.small.device

    def forward(self, x: Tensor) -> Tensor:
        """Restored faces (B, 3, T, T) of x: (B, 3, S, S), as `PreparedGPEN`; S: the input size of one of the two.

        Raises InputError for any other size.
        """
        sizes = {model.config.in_size: model for model in (self.small, self.large)}
        if x.ndim != 4 or x.shape[-1] not in sizes:
            raise InputError(f"the model takes faces of {' or '.join(map(str, sizes))} px, got {tuple(x.shape)}")
        out: Tensor = sizes[x.shape[-1]](x)
        return out
