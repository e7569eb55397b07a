"""What a restoration asks of its networks, and what each guarantees.

Nothing else is known of a part: no class is asked for, so that a wrapper (progress, cancel, cache) is as good as what
it wraps. What a part may say of itself beside being called is read here and nowhere else: `device` (else where its
first parameter or buffer lies, else the CPU), a parser's `size`, a detector's `longest_side`, a model's `larger`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

if TYPE_CHECKING:
    from .config import ModelCard
    from .faces.types import Detection

#: ParseNet and BiSeNet were trained at this size: what a parser that says none is given.
PARSER_SIZE = 512


class Sizes(Protocol):
    """A network's sizes; `GPENConfig` has them."""

    @property
    def in_size(self) -> int:
        """Side of the faces that it is given, pixels."""

    @property
    def out_size(self) -> int:
        """Side of the faces that it gives."""


class Model(Protocol):
    """Restores faces: `GPEN`, `PreparedGPEN`, or anything that is called alike.

    It may say `larger`: the sizes of a second network that it asks where faces come at that network's input size.
    """

    @property
    def config(self) -> Sizes:
        """Its sizes."""

    @property
    def card(self) -> ModelCard:
        """The value range, template and border that its weights expect."""

    def __call__(self, faces: Tensor, /) -> Tensor:
        """(N, 3, out_size, out_size) of aligned faces (N, 3, in_size, in_size) RGB on its device, both in the card's
        value range, the result unclamped.

        The same face gives the same result, whatever is in the batch with it.
        """


class Detector(Protocol):
    """Finds faces. It may say `longest_side`: larger pictures are shrunk to it before they come."""

    def __call__(self, pictures: Tensor, /) -> list[list[Detection]]:
        """For each of `pictures` (B, 3, H, W) RGB in [0, 1] its faces, in its pixels, pixel centres at integers.

        All faces are reported that it has above a floor of its own, far below any usual threshold, each once, best
        score first; it is told neither threshold nor size, for it is `select` that chooses. Pictures are looked at as
        large as they come. Nothing is kept from call to call.
        """


class Parser(Protocol):
    """Tells a face's parts. It may say `size`, the side of the faces that it wants; else they come at 512 px."""

    def __call__(self, faces: Tensor, /) -> Tensor:
        """(N, S, S) for aligned faces (N, 3, size, size) RGB in [0, 1]: integers are CelebAMask-HQ's 19 labels, floats
        a mask in [0, 1] of what is face."""


class Occluder(Protocol):
    """Tells what covers a face. Faces come at a model's input size."""

    def __call__(self, faces: Tensor, /) -> Tensor:
        """(N, S, S) in [0, 1] for aligned faces (N, 3, size, size) RGB in [0, 1]: one where something else is."""


class Embedder(Protocol):
    """Tells who somebody is. Its `alike` and `another`, where it has them, say from which cosine on two faces are one
    person's, and under which two people's; ArcFace's are taken otherwise.
    """

    def __call__(self, faces: Tensor, /) -> Tensor:
        """(N, D) for faces (N, 3, 112, 112) RGB in [-1, 1], aligned as ArcFace wants them: the closer in angle, the
        more alike."""


def device_of(part: Any) -> torch.device:
    """Where a part computes at this moment: it may be moved between two calls."""
    device = getattr(part, "device", None)
    if device is not None:
        return torch.device(device)
    for tensors in ("parameters", "buffers"):
        for tensor in getattr(part, tensors, tuple)():
            return torch.device(tensor.device)
    return torch.device("cpu")


def larger_of(model: Model) -> Sizes | None:
    """The sizes of the network that `model` keeps for larger faces; None where it has one alone."""
    larger: Sizes | None = getattr(model, "larger", None)
    return larger


def sizes_for(model: Model, in_size: int) -> Sizes:
    """The sizes of the network that `model` asks where faces come at `in_size` px."""
    larger = larger_of(model)
    return larger if larger is not None and larger.in_size == in_size else model.config


def input_size_for(model: Model, side: int) -> int:
    """The input size of `model` for aligned faces of `side` px: where it has two, the second for what is above the
    first.
    """
    larger = larger_of(model)
    return model.config.in_size if larger is None or side <= model.config.in_size else larger.in_size


def parser_size(parser: Parser) -> int:
    """Side of the faces that `parser` wants, pixels."""
    return int(getattr(parser, "size", PARSER_SIZE))


def longest_side_of(detector: Detector) -> int | None:
    """The largest side at which pictures are to come to `detector`; None where any will do."""
    side = getattr(detector, "longest_side", None)
    return None if side is None else int(side)
