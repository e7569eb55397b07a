"""Weights: files, the zoo, the Hub."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .load import load_detector, load_model, load_occluder, load_parser, load_prior
    from .pretrained import GPEN

__all__ = ["GPEN", "load_detector", "load_model", "load_occluder", "load_parser", "load_prior"]


def __getattr__(name: str) -> Any:
    # The zoo and the Hub do without torch, so listing and fetching need not wait for it.
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    value = getattr(importlib.import_module(f".{'pretrained' if name == 'GPEN' else 'load'}", __name__), name)
    globals()[name] = value
    return value
