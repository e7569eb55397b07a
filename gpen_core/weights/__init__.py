"""Weights: files, the zoo, the Hub."""

from __future__ import annotations

from .load import load_detector, load_model, load_parser
from .pretrained import GPEN

__all__ = ["GPEN", "load_detector", "load_model", "load_parser"]
