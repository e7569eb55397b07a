"""ParseNet: which pixel of an aligned face is skin, eye, hair … (facexlib's, after PSFR-GAN)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..errors import InputError
from .library import build, library_class


class ParseNetParser(nn.Module):
    """A parser of aligned faces (N, 3, 512, 512) RGB in [0, 1].

    Raises WeightsError where `state_dict` (facexlib's names) does not fit, MissingPackageError or DeviceError where
    facexlib or what it stands on does not load.
    """

    #: The side it was trained at.
    size = 512

    def __init__(self, state_dict: Mapping[str, Tensor]) -> None:
        super().__init__()
        kind = library_class("facexlib.parsing.parsenet", "ParseNet")
        self.network = build("ParseNet", lambda: kind(in_size=self.size, out_size=self.size, parsing_ch=19), state_dict)

    def forward(self, faces: Tensor) -> Tensor:
        """(N, 512, 512) int64 labels of CelebAMask-HQ's 19 classes. Raises InputError for another size."""
        if faces.ndim != 4 or tuple(faces.shape[1:]) != (3, self.size, self.size):
            raise InputError(
                f"the parser was given shape {tuple(faces.shape)}; expected (N, 3, {self.size}, {self.size})"
            )
        with torch.no_grad():
            scores: Tensor = self.network(faces.to(next(self.network.parameters())) * 2 - 1)[0]
        return scores.argmax(1)
