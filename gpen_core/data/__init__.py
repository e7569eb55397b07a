"""Training data: folders and shards of faces, and the damage done to them."""

from .compression import Backend
from .degradation import Degradation
from .feed import Batch, Feed, Pictures, plan, shares
from .folder import FaceFolder, read_weights
from .maps import MappedFaces
from .presets import PRESETS, find_preset
from .ranges import Pass, Ranges

__all__ = [
    "PRESETS",
    "Backend",
    "Batch",
    "Degradation",
    "FaceFolder",
    "Feed",
    "MappedFaces",
    "Pass",
    "Pictures",
    "Ranges",
    "find_preset",
    "plan",
    "read_weights",
    "shares",
]
