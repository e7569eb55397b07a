"""What training minimises: adversarial, content, feature matching, embedding distances, regularisers."""

from .adversarial import (
    ADVERSARIAL,
    Form,
    discriminator_hinge,
    discriminator_logistic,
    emphasise,
    generator_hinge,
    generator_nonsaturating,
    mean_score,
    mean_square,
)
from .content import Norm, Reduction, coarse_distance, content, damage_weights, feature_matching
from .efficientnet import EfficientNetLite0
from .embedding import Embedding, EmbeddingLoss
from .perceptual import PerceptualLoss, perceptual_distance
from .projected import ProjectedDiscriminator
from .regularisers import between, gradient_penalty, path_length_penalty, r1_penalty
from .texture import LikenessLoss, TextureLoss, likeness_distance, texture_distance

__all__ = [
    "ADVERSARIAL",
    "EfficientNetLite0",
    "Embedding",
    "EmbeddingLoss",
    "Form",
    "LikenessLoss",
    "Norm",
    "PerceptualLoss",
    "ProjectedDiscriminator",
    "Reduction",
    "TextureLoss",
    "between",
    "coarse_distance",
    "content",
    "damage_weights",
    "discriminator_hinge",
    "discriminator_logistic",
    "emphasise",
    "feature_matching",
    "generator_hinge",
    "generator_nonsaturating",
    "gradient_penalty",
    "likeness_distance",
    "mean_score",
    "mean_square",
    "path_length_penalty",
    "perceptual_distance",
    "r1_penalty",
    "texture_distance",
]
