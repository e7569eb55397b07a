"""The files that a run starts from, and how they come into its networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from torch import Tensor

from ..architecture import prior_config
from ..config import ModelCard
from ..errors import TrainingError
from ..weights import GPEN
from ..weights.cache import sha256_of
from ..weights.description import shapes_of
from .stages import Stage
from .start import change_range, embed_prior, grow, load_discriminator, load_generator, read_network, same_config

FED = ("concat", "features")
"""How features are fed, which a prior adapts to and a discriminator does not see."""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Files that a run starts from; all optional.

    prior: of stage 1, embedded into a new GPEN. generator: a prior (stage prior) or GPEN that goes on, its averaged
    weights become the trained ones.
    discriminator: None leaves a fresh one. smaller: a network of half the size or less, to grow from;
    smaller_discriminator: its discriminator. identity: ArcFace's weights. perceptual: those of the recipe's backbone,
    for its perceptual loss and a projected discriminator; None: where an installed package brings them.
    """

    prior: Path | None = None
    generator: Path | None = None
    discriminator: Path | None = None
    smaller: Path | None = None
    smaller_discriminator: Path | None = None
    identity: Path | None = None
    perceptual: Path | None = None

    def __post_init__(self) -> None:
        for field in fields(self):  # as text, too
            given = getattr(self, field.name)
            object.__setattr__(self, field.name, None if given is None else Path(given))

    def refuse_missing(self) -> None:
        """Raises TrainingError for the first that is not there."""
        for field in fields(self):
            path = getattr(self, field.name)
            if path is not None and not path.is_file():
                flag = f"--{field.name.replace('_', '-')}"
                raise TrainingError(f"there is no file {path}; {flag} names what a run starts from")

    def digests(self) -> dict[str, str]:
        """The beginning of each named file's SHA-256; of those only that are there."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: sha256_of(path)[:12] for name, path in named.items() if path is not None and path.is_file()}


def load_sources(stage: Stage, sources: Sources) -> dict[str, Any]:
    """Puts the sources' weights into the stage's networks. What they had seen, by stage, and whether the discriminator
    is fresh.
    """
    facts: dict[str, Any] = {
        "seen": {},
        "fresh": sources.discriminator is None and sources.smaller_discriminator is None,
    }
    config = stage.discriminator.config
    if sources.prior is not None:
        if not isinstance(stage.generator, GPEN):
            raise TrainingError(
                "--prior embeds a prior in a GPEN: it belongs to stage finetune or embed;"
                " to go on with a prior use --generator"
            )
        state, stated, card = read_network(sources.prior)
        if card is not None and not _is_prior(state):
            raise TrainingError(f"{sources.prior} is no prior, but what is made from one; name it with --generator")
        if stated is not None and stated.prior == config.prior:
            same_config(config, stated, str(sources.prior), apart=FED)
        embed_prior(stage.generator, state, name=str(sources.prior))
        change_range(stage.generator, (-1.0, 1.0), stage.generator.card.value_range)
        facts["seen"] |= images_seen(card, "")
    if sources.generator is not None:
        state, stated, card = read_network(sources.generator, part="g_ema")
        if isinstance(stage.generator, GPEN) and _is_prior(state):
            raise TrainingError(f"{sources.generator} is a prior, which is embedded; name it with --prior")
        same_config(config, stated, str(sources.generator))
        load_generator(stage.generator, state, name=str(sources.generator))
        if isinstance(stage.generator, GPEN) and card is not None:
            change_range(stage.generator, card.value_range, stage.generator.card.value_range)
        other = isinstance(stage.generator, GPEN) and card is not None and card.task != stage.generator.card.task
        # What a model of another task has seen does not count towards this run's length.
        facts["seen"] |= images_seen(card, f", {card.task}" if card is not None and other else "")
    if sources.smaller is not None:
        state, _, card = read_network(sources.smaller)
        grow(stage.generator, state)
        facts["seen"] |= images_seen(card, ", smaller")
    if sources.smaller_discriminator is not None:
        grow(stage.discriminator, read_network(sources.smaller_discriminator)[0])
    if sources.discriminator is not None:
        state, stated, _ = read_network(sources.discriminator, part="d")
        same_config(config, stated, str(sources.discriminator), apart=FED)
        load_discriminator(stage.discriminator, state, name=str(sources.discriminator))
    return facts


def images_seen(card: ModelCard | None, suffix: str = "") -> dict[str, int]:
    """How many images a model has seen, by the stage of training."""
    seen = card.details.get("images_seen", {}) if card is not None else {}
    return {f"{stage}{suffix}": int(count) for stage, count in seen.items()} if isinstance(seen, Mapping) else {}


def _is_prior(state: Mapping[str, Tensor]) -> bool:
    return prior_config(shapes_of(state)) is not None
