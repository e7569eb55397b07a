"""Every measure that can be asked for by name: what it is, what it compares, what it needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import HubError, InputError, MissingPackageError
from . import metrics
from .backbones import published
from .embedders import embed_aligned
from .landmarks import landmark_distance
from .metrics import identity_similarity
from .perceptual import DetectorFeatures, feature_distance

#: (result, partner), both (B, 3, H, W) in [0, 1] → (B,). The partner of a measure of one picture is the result itself.
Call = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Needs:
    """Where networks come from. weights: a folder with published files, see `backbones.published`; arcface: a file or
    zoo name. None: where they usually are."""

    weights: Path | None = None
    arcface: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One measure. better: which way; partner: what a result is held against. needs: in words, for documents."""

    better: Literal["higher", "lower"]
    about: str
    make: Callable[[Needs], Call] = field(repr=False)
    partner: Literal["original", "input", "nothing"] = "original"
    needs: str = ""


def lpips(needs: Needs) -> Call:
    """LPIPS with AlexNet (Zhang et al. 2018), by the package of its authors. Raises MissingPackageError, HubError."""
    with published("LPIPS", ("alexnet-owt-7be5be79.pth",), needs.weights):
        return metrics.perceptual_distance()


def dists(needs: Needs) -> Call:
    """DISTS (Ding et al. 2020), by torchmetrics. Raises MissingPackageError, HubError."""
    try:
        from torchmetrics.functional.image.dists import DISTSNetwork
    except ImportError as error:
        raise MissingPackageError("DISTS needs torchmetrics; install gpen[metrics]") from error
    with published("DISTS", ("vgg16-397923af.pth",), needs.weights):
        network = DISTSNetwork().eval().requires_grad_(False)

    def distance(result: Tensor, target: Tensor) -> Tensor:
        network.to(result.device)
        with torch.no_grad():
            value: Tensor = network(result.float(), target.float())
        return value.flatten()

    return distance


def clip_iqa(needs: Needs) -> Call:
    """CLIP-IQA (Wang et al. 2023) by torchmetrics, with OpenAI's CLIP from the Hub. Raises MissingPackageError."""
    try:
        import transformers  # noqa: F401
        from torchmetrics.functional.multimodal import clip_image_quality_assessment
    except ImportError as error:
        raise MissingPackageError("CLIP-IQA needs: pip install transformers torchmetrics") from error
    score: Any = clip_image_quality_assessment
    return lambda result, _: score(result.float(), "openai/clip-vit-base-patch16", data_range=1.0).reshape(-1)


def by_pyiqa(name: str) -> Callable[[Needs], Call]:
    """A measure of the result alone by pyiqa, whose licence is for non-commercial use only: it is no extra of this
    package, and is asked only where the user has installed it. Raises MissingPackageError, HubError.
    """

    def made(needs: Needs) -> Call:
        try:
            from pyiqa import create_metric
        except ImportError as error:
            raise MissingPackageError(
                f"{name} is computed by pyiqa, licensed for non-commercial use only (PolyForm Noncommercial 1.0.0); "
                "where that suits you: pip install pyiqa"
            ) from error
        try:
            metric = create_metric(name, device=torch.device("cpu"))
        except OSError as error:
            raise HubError(f"{name}: pyiqa cannot fetch its weights ({error}); connect once, it keeps them") from error

        def score(result: Tensor, _: Tensor) -> Tensor:
            metric.to(result.device)
            # One by one: of a batch NIQE takes statistics together.
            with torch.no_grad():
                return torch.cat([metric(face[None].float()).reshape(1) for face in result])

        return score

    return made


def identity(needs: Needs) -> Call:
    """Cosine of ArcFace embeddings of FFHQ-aligned faces."""
    embed = embed_aligned(needs.arcface)
    return lambda result, partner: identity_similarity(embed, result, partner)


def degrees(needs: Needs) -> Call:
    """The angle between the two embeddings, in degrees."""
    similarity = identity(needs)
    return lambda result, partner: torch.rad2deg(torch.acos(similarity(result, partner).clamp(-1, 1)))


_ARCFACE = "the zoo's arcface-ir-se50 (`gpen models fetch arcface-ir-se50`) and facexlib"
_PYIQA = "pyiqa, installed by yourself: it is licensed for non-commercial use only"

MEASURES: dict[str, Measure] = {
    "psnr": Measure(better="higher", about="PSNR in dB over RGB", make=lambda _: metrics.psnr),
    "ssim": Measure(better="higher", about="SSIM, scikit-image's form (7×7 uniform)", make=lambda _: metrics.ssim),
    "ssim_basicsr": Measure(
        better="higher",
        about="SSIM, BasicSR's form (11×11 Gaussian), as papers print",
        make=lambda _: metrics.ssim_basicsr,
    ),
    "sharpness": Measure(
        better="higher", about="mean |Laplacian| over the original's; 1 is as sharp", make=lambda _: metrics.sharpness
    ),
    "detail": Measure(better="higher", about="correlation of the two Laplacians", make=lambda _: metrics.detail),
    "perceptual": Measure(
        better="lower",
        about="1 - cosine of the shipped detector's features at five depths",
        make=lambda _: feature_distance(DetectorFeatures()),
    ),
    "lmd": Measure(
        better="lower",
        about="landmark distance in px of 512: the shipped detector's five points (papers use 68 or 98 of another)",
        make=lambda _: landmark_distance(),
    ),
    "lpips": Measure(
        better="lower", about="LPIPS (AlexNet)", make=lpips, needs="gpen[metrics] and torchvision's AlexNet weights"
    ),
    "dists": Measure(better="lower", about="DISTS", make=dists, needs="gpen[metrics] and torchvision's VGG-16 weights"),
    "identity": Measure(better="higher", about="cosine of ArcFace embeddings (IR-SE50)", make=identity, needs=_ARCFACE),
    "deg": Measure(better="lower", about="the angle between them, in degrees", make=degrees, needs=_ARCFACE),
    "clip_iqa": Measure(
        better="higher",
        about="CLIP-IQA, of the result alone",
        make=clip_iqa,
        partner="nothing",
        needs="transformers, and CLIP's weights from the Hub",
    ),
    "niqe": Measure(
        better="lower", about="NIQE, of the result alone", make=by_pyiqa("niqe"), partner="nothing", needs=_PYIQA
    ),
    "musiq": Measure(
        better="higher",
        about="MUSIQ (KonIQ-10k), of the result alone",
        make=by_pyiqa("musiq"),
        partner="nothing",
        needs=_PYIQA,
    ),
    "maniqa": Measure(
        better="higher",
        about="MANIQA (KonIQ-10k), of the result alone",
        make=by_pyiqa("maniqa"),
        partner="nothing",
        needs=_PYIQA,
    ),
    "identity_to_input": Measure(
        better="higher",
        about="cosine of ArcFace embeddings of result and input",
        make=identity,
        partner="input",
        needs=_ARCFACE,
    ),
}


def make(names: tuple[str, ...], needs: Needs) -> dict[str, Call]:
    """The named measures, ready to be called. Raises InputError for a name that there is not, and what each needs."""
    for name in names:
        if name not in MEASURES:
            raise InputError(f"no measure is called {name!r}; there are {', '.join(MEASURES)}")
    return {name: MEASURES[name].make(needs) for name in names}


def better(name: str) -> Literal["higher", "lower"]:
    """Which way a measure of this name goes; FID and a caller's own: lower."""
    return MEASURES[name].better if name in MEASURES else "lower"
