"""A MobileNet that sees who somebody is, small enough to train and judge with on a CPU."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

#: Of the network's own input, pixels.
_SIDE = 224
#: Channels before and after each of the thirteen blocks, and where they halve the size.
_CHANNELS = (32, 64, 128, 128, 256, 256, *(512,) * 6, 1024, 1024)
_HALVING = {1, 3, 5, 11}
#: Means of blue, green and red that its training took away, of 255.
_MEAN = (103.939, 116.779, 123.68)


class MobileEmbedder(nn.Module):
    """MobileNet v1 as an `Embedder`: faces (B, 3, S, S) RGB in [-1, 1], aligned as ArcFace wants them, of any size →
    unit embeddings (B, 1024).

    Made for the weights of HSE_FaceRec (Savchenko 2019, "Efficient facial representations for age, gender and identity
    recognition", trained on VGGFace2); `training/embedder.py` writes them as safetensors. Batch norms are folded.
    """

    #: Pixels of a face below which it loses something.
    side = _SIDE
    #: Of 90 people's photographs one pair of strangers in a thousand reaches this, and 93 % of the pairs of a person.
    alike = 0.62
    #: One in ten, and 96 %.
    another = 0.45

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, _CHANNELS[0], 3)
        self.depthwise = nn.ModuleList(nn.Conv2d(n, n, 3, groups=n) for n in _CHANNELS[:-1])
        self.pointwise = nn.ModuleList(nn.Conv2d(n, m, 1) for n, m in pairwise(_CHANNELS))

    def forward(self, faces: Tensor) -> Tensor:
        """(B, 1024)."""
        x = F.interpolate(faces.float(), (_SIDE, _SIDE), mode="bilinear", antialias=True, align_corners=False)
        x = (x.flip(1) + 1) * 127.5 - x.new_tensor(_MEAN)[:, None, None]
        x = _convolved(self.conv1, x, halved=True)
        for index, (depthwise, pointwise) in enumerate(zip(self.depthwise, self.pointwise, strict=True)):
            x = _convolved(depthwise, x, halved=index in _HALVING)
            x = pointwise(x).clamp(0, 6)
        return F.normalize(x.mean((2, 3)), dim=1)


def _convolved(layer: nn.Module, x: Tensor, *, halved: bool) -> Tensor:
    """A 3×3 convolution padded as TensorFlow does it, on the right and below alone where it halves the size."""
    assert isinstance(layer, nn.Conv2d)
    padded = F.pad(x, (0, 1, 0, 1) if halved else (1, 1, 1, 1))
    return F.conv2d(padded, layer.weight, layer.bias, 2 if halved else 1, 0, 1, layer.groups).clamp(0, 6)
