"""The encoder: a convolutional network that ends in the prior's latent code and leaves a feature at each size."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Generator, Tensor, nn

from .layers import ConvLayer, EqualizedLinear


def encoder_blocks(
    channels: Mapping[int, int], in_size: int, *, generator: Generator | None = None
) -> dict[str, nn.Module]:
    """The blocks `ecd0` (1×1, at in_size), `ecd1` … (each halves the size), down to 4×4, by their official names."""
    blocks: dict[str, nn.Module] = {"ecd0": nn.Sequential(ConvLayer(3, channels[in_size], 1, generator=generator))}
    size = in_size
    while size > 4:
        layer = ConvLayer(channels[size], channels[size // 2], 3, down=True, generator=generator)
        blocks[f"ecd{len(blocks)}"] = nn.Sequential(layer)
        size //= 2
    return blocks


def latent_head(channels: int, latent_dim: int, *, generator: Generator | None = None) -> nn.Sequential:
    """`final_linear`: the 4×4 feature, flattened, to the latent code."""
    return nn.Sequential(EqualizedLinear(channels * 16, latent_dim, activate=True, generator=generator))


def encode(blocks: list[nn.Module], head: nn.Module, x: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
    """The latent code (B, latent_dim) and the feature (B, channels[r], r, r) of each resolution, largest first."""
    features: dict[int, Tensor] = {}
    for block in blocks:
        x = block(x)
        features[int(x.shape[-1])] = x  # A plain number also while an exporter traces.
    return head(x.flatten(1)), features
