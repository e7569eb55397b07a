"""What training minimises: adversarial, content, feature matching, embedding distances, two lazy regularisers."""

from .adversarial import discriminator_logistic, emphasise, generator_nonsaturating
from .content import Norm, Reduction, content, feature_matching
from .embedding import Embedding, EmbeddingLoss
from .regularisers import path_length_penalty, r1_penalty

__all__ = [
    "Embedding",
    "EmbeddingLoss",
    "Norm",
    "Reduction",
    "content",
    "discriminator_logistic",
    "emphasise",
    "feature_matching",
    "generator_nonsaturating",
    "path_length_penalty",
    "r1_penalty",
]
