"""Blind face restoration with a GAN prior embedded in a U-shaped network (GPEN, CVPR 2021)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import GPENConfig, ModelCard
    from .faces.types import Detection
    from .options import RestoreOptions
    from .restore import FaceRestorer
    from .weights import GPEN, load_detector, load_model, load_parser, load_prior

__version__ = "0.1.0"

__all__ = [
    "GPEN",
    "Detection",
    "FaceRestorer",
    "GPENConfig",
    "ModelCard",
    "RestoreOptions",
    "__version__",
    "load_detector",
    "load_model",
    "load_parser",
    "load_prior",
]

_HOMES = {
    "GPEN": ".weights",
    "Detection": ".faces.types",
    "FaceRestorer": ".restore",
    "GPENConfig": ".config",
    "ModelCard": ".config",
    "RestoreOptions": ".options",
    "load_detector": ".weights",
    "load_model": ".weights",
    "load_parser": ".weights",
    "load_prior": ".weights",
}


def __getattr__(name: str) -> Any:
    # Names are brought when first used, so that `gpen --help` does not wait for torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
