"""What results say about their making."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import __version__
from ..images.metadata import Provenance
from ..weights.cache import sha256_of

if TYPE_CHECKING:
    from ..weights.load import AnyModel


def provenance_of(model: AnyModel, strength: float) -> Provenance:
    """The model's name, the hash of its file (of two, both), and how strongly its result is seen."""
    files = [file for file in getattr(model, "files", (model.file,)) if file is not None]
    digest = " ".join(map(sha256_of, files)) or None
    return Provenance(model=model.card.name, sha256=digest, strength=strength, version=__version__)
