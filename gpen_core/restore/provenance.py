"""What results say about their making."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import __version__
from ..images.metadata import Provenance
from ..weights.cache import sha256_of

if TYPE_CHECKING:
    from ..architecture.prepared import PreparedGPEN
    from ..formats.onnx_model import OnnxModel
    from ..formats.restorers import OtherRestorer


def provenance_of(model: PreparedGPEN | OnnxModel | OtherRestorer, strength: float) -> Provenance:
    """The model's name, the hash of its file, and how strongly its result is seen."""
    digest = sha256_of(model.file) if model.file is not None else None
    return Provenance(model=model.card.name, sha256=digest, strength=strength, version=__version__)
