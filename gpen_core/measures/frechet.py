"""The Fréchet distance between two sets of pictures (Heusel et al. 2017), from statistics that a file can keep."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InputError, MissingPackageError, PictureError
from ..files import replacing
from ..weights.tensors import read_tensors
from .backbones import published
from .pairs import load, pictures_in

Features = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Statistics:
    """Of a set of features: mean (D,) and covariance (D, D), float64."""

    mean: Tensor
    covariance: Tensor


class Gathering:
    """Statistics of features that come batch by batch, in memory that does not grow with their number."""

    def __init__(self) -> None:
        self.count = 0
        self._sum: Tensor | None = None
        self._products: Tensor | None = None

    def add(self, features: Tensor) -> None:
        """Takes the features (B, D) of a batch."""
        features = features.double().cpu()
        total, products = features.sum(0), features.T @ features
        self._sum = total if self._sum is None else self._sum + total
        self._products = products if self._products is None else self._products + products
        self.count += len(features)

    def statistics(self) -> Statistics:
        """Raises PictureError for fewer than two pictures, which have no covariance."""
        if self.count < 2 or self._sum is None or self._products is None:
            raise PictureError(
                f"FID was asked of {self.count} picture; it needs two a side, and thousands to mean much"
            )
        mean = self._sum / self.count
        covariance = (self._products - self.count * torch.outer(mean, mean)) / (self.count - 1)
        return Statistics(mean=mean, covariance=covariance)


def frechet_distance(a: Statistics, b: Statistics) -> float:
    """|mean difference|² + tr(A + B − 2 (AB)^½). Raises InputError where the two are of different features."""
    if a.mean.shape != b.mean.shape:
        raise InputError(f"statistics of {len(a.mean)} and of {len(b.mean)} features cannot be compared")
    values, vectors = torch.linalg.eigh(a.covariance)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    shared = torch.linalg.eigvalsh(root @ b.covariance @ root).clamp(min=0).sqrt().sum()
    distance = (a.mean - b.mean).square().sum() + a.covariance.trace() + b.covariance.trace() - 2 * shared
    return float(distance.clamp(min=0))


def read_statistics(path: Path) -> Statistics:
    """Statistics in an .npz (`mu`, `sigma`, as pytorch-fid and torch-fidelity write) or a .pth (`mean`, `cov`, as
    BasicSR's of FFHQ-512). Raises InputError for any other file."""
    try:
        if zipfile.is_zipfile(path) and path.suffix == ".npz":
            with np.load(path) as stored:
                held: Any = {name: torch.from_numpy(stored[name]) for name in stored.files}
        else:
            held = read_tensors(path).tensors
    except (OSError, ValueError) as error:
        raise InputError(f"{path} holds no statistics for FID ({error}); expected .npz with mu and sigma") from error
    mean, covariance = (held.get(old, held.get(new)) for old, new in (("mu", "mean"), ("sigma", "cov")))
    if mean is None or covariance is None or covariance.shape != (mean.numel(), mean.numel()):
        raise InputError(f"{path} holds {', '.join(held) or 'nothing'}; FID's statistics are mu (D,) and sigma (D, D)")
    return Statistics(mean=mean.flatten().double(), covariance=covariance.double())


def write_statistics(path: Path, statistics: Statistics) -> None:
    """Writes an .npz with `mu` and `sigma`."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, mu=statistics.mean.numpy(), sigma=statistics.covariance.numpy())


def inception(weights: Path | None = None) -> Features:
    """The 2,048 pooled features of FID's own Inception (torch-fidelity's port), of pictures (B, 3, H, W) in [0, 1].

    weights: a folder with its file, see `backbones.published`.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise MissingPackageError("FID needs torch-fidelity; install gpen[metrics]") from error
    with published("FID", ("weights-inception-2015-12-05-6726825d.pth",), weights):
        network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])

    def features(pictures: Tensor) -> Tensor:
        network.to(pictures.device)
        with torch.no_grad():
            pooled: Tensor = network((pictures * 255).round().clamp(0, 255).byte())[0]
        return pooled

    return features


def of_folder(folder: Path, features: Features) -> Statistics:
    """Statistics of a folder's pictures. Raises PictureError where there are fewer than two."""
    gathering = Gathering()
    for path in pictures_in(folder).values():
        gathering.add(features(load(path).pixels))
    return gathering.statistics()
