"""Networks that see who somebody is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import WeightsError
from ..faces.library import build, library_class
from ..weights.location import locate
from ..weights.tensors import read_tensors
from .metrics import identity_similarity
from .mobile_embedder import MobileEmbedder

#: The side of the faces that ArcFace takes, pixels.
ARCFACE_SIZE = 112
# An FFHQ-aligned crop's inner region, about what ArcFace's own 112 px crop shows.
_FFHQ_REGION = (0.22, 0.86, 0.18, 0.82)


def read_embedder(path: Path) -> nn.Module:
    """The recognition network in `path`, an `Embedder`: (B, 3, 112, 112) in [-1, 1] → unit embeddings (B, D).

    Told by its tensors: facexlib's ArcFace (IR-SE50, D = 512), or a `MobileEmbedder` (D = 1024).
    Raises WeightsError when the file holds another network; for an ArcFace MissingPackageError without facexlib,
    DeviceError where it does not load.
    """
    tensors = read_tensors(path).tensors
    if "depthwise.0.weight" in tensors:
        return build(f"{path}, a mobile embedder,", MobileEmbedder, tensors)
    kind = library_class("facexlib.recognition.arcface_arch", "Backbone")
    network: nn.Module = kind(num_layers=50, drop_ratio=0.6, mode="ir_se")
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(
            f"{path} is not an ArcFace IR-SE50; fetch the zoo's arcface-ir-se50 with `gpen models`"
        ) from error
    return network.eval().requires_grad_(False)


def embed_aligned(path: Path | None) -> Callable[[Tensor], Tensor]:
    """Embeddings (B, D) of FFHQ-aligned pictures (B, 3, S, S) in [0, 1].

    path: of the weights (`read_embedder`); None: the zoo's ArcFace, where it was fetched. Raises HubError,
    MissingPackageError, WeightsError.
    """
    network = read_embedder(locate("arcface-ir-se50", kind="recognition").path if path is None else path)

    def embed(pictures: Tensor) -> Tensor:
        network.to(pictures.device)
        height, width = pictures.shape[-2:]
        top, bottom, left, right = _FFHQ_REGION
        face = pictures[..., int(top * height) : int(bottom * height), int(left * width) : int(right * width)]
        embedding: Tensor = network(F.interpolate(face, (ARCFACE_SIZE, ARCFACE_SIZE), mode="area") * 2 - 1)
        return embedding

    return embed


def identity_measure(path: Path) -> Callable[[Tensor, Tensor], Tensor]:
    """Cosine of embeddings, as a function of (result, original), FFHQ-aligned, in [0, 1], giving (B,)."""
    embed = embed_aligned(path)
    return lambda result, original: identity_similarity(embed, result, original)
