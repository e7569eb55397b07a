"""Losses by networks that see who somebody is, or what a picture looks like."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ..losses import EmbeddingLoss
from ..measures.embedders import ARCFACE_SIZE, read_embedder
from ..measures.mobile_embedder import MobileEmbedder
from ..weights.tensors import read_tensors

# GPEN's own crop for ArcFace, rows 35:223 and columns 32:220 of 256, as fractions.
_ARCFACE_REGION = (35 / 256, 223 / 256, 32 / 256, 220 / 256)


def identity_loss(path: Path, device: torch.device) -> EmbeddingLoss:
    """1 − cosine of embeddings (`read_embedder`), on GPEN's crop of the face, at any size."""
    network = read_embedder(path).to(device)
    size = network.side if isinstance(network, MobileEmbedder) else ARCFACE_SIZE
    return EmbeddingLoss(network, size=size, region=_ARCFACE_REGION)


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
