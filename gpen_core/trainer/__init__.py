"""Training in three stages: a prior, the prior embedded in a GPEN, the whole fine-tuned on damaged and clean pairs."""

from .loop import Limits
from .recipe import Recipe, read_recipe
from .run import Places, train
from .sources import Sources

__all__ = ["Limits", "Places", "Recipe", "Sources", "read_recipe", "train"]
