"""Which pixel of an aligned face is skin, eye, hair …: facexlib's ParseNet (after PSFR-GAN) and BiSeNet."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ..errors import InputError
from .library import build, library_class

#: The side that both were trained at.
SIZE = 512
#: BiSeNet's classes (skin, brows, eyes, glasses, ears, earring, nose, mouth, lips, neck, necklace, cloth, hair, hat)
#: as CelebAMask-HQ numbers them.
BISENET_CLASSES = (0, 1, 6, 7, 4, 5, 3, 8, 9, 15, 2, 10, 11, 12, 17, 16, 18, 13, 14)
_IMAGENET_MEAN, _IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class _FaceParser(nn.Module):
    """A parser of aligned faces (N, 3, 512, 512) RGB in [0, 1]."""

    size = SIZE
    network: nn.Module

    def _scores(self, faces: Tensor) -> Tensor:
        """(N, 19, 512, 512) of faces in the network's own range."""
        with torch.no_grad():
            scores: Tensor = self.network(faces)[0]
        return scores

    def _checked(self, faces: Tensor) -> Tensor:
        """The faces on the network's device, in its type. Raises InputError for another size."""
        if faces.ndim != 4 or tuple(faces.shape[1:]) != (3, self.size, self.size):
            raise InputError(
                f"the parser was given shape {tuple(faces.shape)}; expected (N, 3, {self.size}, {self.size})"
            )
        return faces.to(next(self.network.parameters()))


class ParseNetParser(_FaceParser):
    """The reference's parser.

    Raises WeightsError where `state_dict` (facexlib's names) does not fit, MissingPackageError or DeviceError where
    facexlib or what it stands on does not load.
    """

    def __init__(self, state_dict: Mapping[str, Tensor]) -> None:
        super().__init__()
        kind = library_class("facexlib.parsing.parsenet", "ParseNet")
        self.network = build("ParseNet", lambda: kind(in_size=SIZE, out_size=SIZE, parsing_ch=19), state_dict)

    def forward(self, faces: Tensor) -> Tensor:
        """(N, 512, 512) int64 labels of CelebAMask-HQ's 19 classes. Raises InputError for another size."""
        return self._scores(self._checked(faces) * 2 - 1).argmax(1)


class BiSeNetParser(_FaceParser):
    """A smaller parser, whose classes come in another order; raises as `ParseNetParser`."""

    def __init__(self, state_dict: Mapping[str, Tensor]) -> None:
        super().__init__()
        kind = library_class("facexlib.parsing.bisenet", "BiSeNet")
        self.network = build("BiSeNet", lambda: kind(num_class=19), state_dict)
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(_IMAGENET_DEVIATION).view(3, 1, 1), persistent=False)
        self.register_buffer("classes", torch.tensor(BISENET_CLASSES), persistent=False)

    def forward(self, faces: Tensor) -> Tensor:
        """(N, 512, 512) int64 labels of CelebAMask-HQ's 19 classes. Raises InputError for another size."""
        mean, deviation = self.get_buffer("mean"), self.get_buffer("deviation")
        labels = self._scores((self._checked(faces) - mean) / deviation).argmax(1)
        return self.get_buffer("classes")[labels]
