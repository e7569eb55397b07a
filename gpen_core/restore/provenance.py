"""What results say about their making."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from .. import __version__
from ..images.metadata import Provenance
from ..weights.cache import sha256_of
from ..weights.tensors import tensors_sha256

if TYPE_CHECKING:
    from ..weights.load import AnyModel


def provenance_of(model: AnyModel, strength: float) -> Provenance:
    """The model's name, the hash of its file (of two, both), and how strongly its result is seen."""
    files = [file for file in getattr(model, "files", (model.file,)) if file is not None]
    digest = " ".join(map(sha256_of, files)) or None
    return Provenance(model=model.card.name, sha256=digest, strength=strength, version=__version__)


def told_of(part: Any) -> str | None:
    """What tells a detector, parser, occluder or upscaling network from others: the name that it says, else its class
    or function, and the hash of its weights, where it has any. A word in its place, or None, tells itself."""
    if part is None or isinstance(part, str):
        return part
    name = getattr(part, "name", None) or getattr(part, "__qualname__", type(part).__qualname__)
    # What spandrel gives keeps its network in `model`.
    holder: Any = part if hasattr(part, "state_dict") else getattr(part, "model", None)
    values = holder.state_dict() if hasattr(holder, "state_dict") else {}
    tensors = {key: value for key, value in values.items() if isinstance(value, Tensor)}
    return f"{name} {tensors_sha256(tensors)[:16]}" if tensors else str(name)
