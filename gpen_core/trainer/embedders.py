"""Networks that see who somebody is, or what a picture looks like: for losses and for figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import MissingPackageError, TrainingError
from ..losses import EmbeddingLoss
from ..metrics import identity_similarity
from ..weights.tensors import read_tensors

_ARCFACE_SIZE = 112
# An FFHQ-aligned crop's inner region, about what ArcFace's own 112 px crop shows.
_FFHQ_REGION = (0.22, 0.86, 0.18, 0.82)
# GPEN's own crop for ArcFace, rows 35:223 and columns 32:220 of 256, as fractions.
_ARCFACE_REGION = (35 / 256, 223 / 256, 32 / 256, 220 / 256)


def read_arcface(path: Path) -> nn.Module:
    """facexlib's ArcFace (IR-SE50) with the weights in `path`: (B, 3, 112, 112) in [-1, 1] → unit embeddings (B, 512).

    Raises MissingPackageError without facexlib, TrainingError when the file holds another network.
    """
    try:
        from facexlib.recognition.arcface_arch import Backbone
    except ImportError as error:
        raise MissingPackageError(f"identity needs facexlib, which does not load ({error}); see gpen doctor") from error
    network: nn.Module = Backbone(num_layers=50, drop_ratio=0.6, mode="ir_se")
    try:
        network.load_state_dict(read_tensors(path).tensors)
    except RuntimeError as error:
        raise TrainingError(
            f"{path} is not an ArcFace IR-SE50; fetch the zoo's arcface-ir-se50 with `gpen models`"
        ) from error
    return network.eval().requires_grad_(False)


def identity_loss(path: Path, device: torch.device) -> EmbeddingLoss:
    """1 − cosine of ArcFace embeddings, on GPEN's crop of the face, at any size."""
    return EmbeddingLoss(read_arcface(path).to(device), size=_ARCFACE_SIZE, region=_ARCFACE_REGION)


def identity_measure(path: Path) -> Callable[[Tensor, Tensor], Tensor]:
    """Cosine of ArcFace embeddings, as a function of (result, original), FFHQ-aligned, in [0, 1], giving (B,)."""
    network = read_arcface(path)

    def embed(pictures: Tensor) -> Tensor:
        height, width = pictures.shape[-2:]
        top, bottom, left, right = _FFHQ_REGION
        face = pictures[..., int(top * height) : int(bottom * height), int(left * width) : int(right * width)]
        embedding: Tensor = network(F.interpolate(face, (_ARCFACE_SIZE, _ARCFACE_SIZE), mode="area") * 2 - 1)
        return embedding

    return lambda result, original: identity_similarity(embed, result, original)


class Vgg(nn.Module):
    """The first blocks of torchvision's VGG-16: (B, 3, S, S) in [-1, 1] → the features before each of four poolings."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        from torchvision.models import vgg16

        network = vgg16(weights=None)
        network.load_state_dict(read_tensors(weights).tensors)
        self.blocks = nn.ModuleList(network.features[first:last] for first, last in ((0, 4), (4, 9), (9, 16), (16, 23)))
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406])[:, None, None])
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225])[:, None, None])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Four feature maps, finest first."""
        x = ((x + 1) / 2 - self.mean) / self.deviation
        features = []
        for block in self.blocks:
            x = block(x)
            features.append(x)
        return features


def perceptual_loss(path: Path, device: torch.device) -> EmbeddingLoss:
    """Mean absolute difference of VGG-16's features, summed over four blocks; path: torchvision's vgg16 weights."""
    return EmbeddingLoss(Vgg(path).to(device), distance="l1")
