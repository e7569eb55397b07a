"""What a run is: a TOML file read into frozen dataclasses that check themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..config import ModelCard, Task
from ..data.compression import Backend
from ..data.presets import find_preset
from ..errors import ConfigError
from .augment import AugmentRecipe
from .fields import at_least, fill, read_toml
from .loss_recipe import LossRecipe
from .network_recipe import GrowthRecipe, NetworkRecipe

BackboneName = Literal["vgg16", "efficientnet-lite0"]
StageName = Literal["prior", "embed", "finetune"]
_SEEDS = 2**63  # of either sign, as torch takes them
Precision = Literal["auto", "fp32", "bf16", "fp64"]


@dataclass(frozen=True, kw_only=True)
class DataRecipe:
    """Faces and what is done to them.

    batch: pictures a process takes at once; accumulate: how many batches make a step. workers: loader processes (0:
    none).
    on_device: whether the damage is done on the training device; None: where it is not the CPU. weights: CSV of
    source, weight.
    """

    degradation: str = "balanced"
    batch: int = 8
    accumulate: int = 1
    workers: int = 1
    upscale: bool = False
    weights: str | None = None
    jpeg: Backend = "auto"
    on_device: bool | None = None

    def __post_init__(self) -> None:
        find_preset(self.degradation)
        at_least(self, 1, "batch", "accumulate")
        at_least(self, 0, "workers")


@dataclass(frozen=True, kw_only=True)
class RateRecipe:
    """Adam's learning rates, before the scaling for lazy regularisation; a prior alone trains at `decoder`.

    warmup_images: over which the rates rise from 0 when the optimisers start anew.
    half_life: images of this run after which the generator's rates are half of what they were, and so on; 0: they stay.
    fresh_discriminator: rate of a discriminator that starts from nothing, for `fresh_images` images without feature
    matching.
    beta1: of the generator's Adam; 0 as in StyleGAN2, 0.9 where the content loss alone leads. The discriminator's is 0.
    clip: largest norm of the gradient; 0: none.
    """

    encoder: float = 2e-3
    decoder: float = 2e-4
    discriminator: float = 2e-5
    fresh_discriminator: float = 2e-3
    fresh_images: int = 5_000
    warmup_images: int = 0
    half_life: int = 0
    beta1: float = 0.0
    beta2: float = 0.99
    clip: float = 0.0
    nan_limit: int = 8

    def __post_init__(self) -> None:
        rates = ("encoder", "decoder", "discriminator", "fresh_discriminator")
        at_least(self, 0, *rates, "fresh_images", "warmup_images", "half_life", "clip")
        at_least(self, 1, "nan_limit")
        if not 0 < self.beta2 < 1:
            raise ConfigError(f"rates.beta2 is {self.beta2}; it must lie between 0 and 1")
        if not 0 <= self.beta1 < 1:
            raise ConfigError(f"rates.beta1 is {self.beta1}; it must be at least 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class BackboneRecipe:
    """The frozen network that the perceptual loss and a projected discriminator look with; no part of what is trained.

    sha256: of its file; empty: the one known for this name. See `trainer.backbones`.
    """

    name: BackboneName = "vgg16"
    sha256: str = ""

    def __post_init__(self) -> None:
        if self.sha256 and re.fullmatch("[0-9a-f]{64}", self.sha256) is None:
            raise ConfigError(f"backbone.sha256 is {self.sha256!r}; it must be 64 hexadecimal digits, or empty")


@dataclass(frozen=True, kw_only=True)
class RunRecipe:
    """How long, how precisely, and what is written when (intervals in images, checkpoints in minutes; 0: never).

    precision: auto is bf16 where the device computes faster in it, else fp32.
    ema_half_life: images after which half of the averaged network is new; ema_ramp: and at most this share of the
    images seen.
    cuda_graphs: whether one process on CUDA records its steps and replays them (stage finetune, without accumulation,
    augmentation and gradient penalty).
    shard: whether the processes divide parameters, gradients and moments among them (FSDP2); alone there is nothing to.
    keep: how many checkpoints stay beside the best. part_megabytes: largest file of a checkpoint; 0: one file.
    grid_every: the first grid comes before the first step, further ones after a 64th, a 16th, a quarter of this.
    lpips: whether validation computes it too. best: the figure by which the best is chosen; psnr and ssim choose the
    blurriest.
    """

    max_images: int = 1_000_000
    precision: Precision = "fp32"
    cuda_graphs: bool = True
    shard: bool = False
    ema_half_life: float = 10_000.0
    ema_ramp: float | None = 0.05
    checkpoint_minutes: float = 10.0
    keep: int = 2
    part_megabytes: float = 0.0
    log_every: int = 10
    grid_every: int = 20_000
    validate_every: int = 20_000
    validation_pictures: int = 64
    lpips: bool = False
    best: Literal["perceptual", "psnr", "ssim", "detail", "lpips"] = "perceptual"

    def __post_init__(self) -> None:
        at_least(self, 1, "max_images", "keep", "log_every")
        at_least(self, 0, "checkpoint_minutes", "part_megabytes", "grid_every", "validate_every", "validation_pictures")
        if self.best == "lpips" and not self.lpips:
            raise ConfigError(
                "best is lpips, which is not computed; set lpips = true (its weights are needed), or choose another"
            )
        if not self.ema_half_life > 0:
            raise ConfigError(f"ema_half_life is {self.ema_half_life}; it must be positive")
        if self.ema_ramp is not None:
            at_least(self, 0, "ema_ramp")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A run of one stage. task: what the network is to do; it decides what it is given (see `value_range`)."""

    stage: StageName
    name: str = "unnamed"
    task: Task = "restoration"
    seed: int = 0
    licence: str = "unknown"
    origin: str = "trained with gpen"
    network: NetworkRecipe = field(default_factory=NetworkRecipe)
    data: DataRecipe = field(default_factory=DataRecipe)
    rates: RateRecipe = field(default_factory=RateRecipe)
    losses: LossRecipe = field(default_factory=LossRecipe)
    backbone: BackboneRecipe = field(default_factory=BackboneRecipe)
    augmentation: AugmentRecipe = field(default_factory=AugmentRecipe)
    growth: GrowthRecipe = field(default_factory=GrowthRecipe)
    run: RunRecipe = field(default_factory=RunRecipe)

    def __post_init__(self) -> None:
        if not -_SEEDS <= self.seed < _SEEDS:
            raise ConfigError(f"seed is {self.seed}; it must lie between {-_SEEDS} and {_SEEDS - 1}")
        if self.stage == "prior":
            size = self.network.config.out_size
            if self.growth.from_size > size:
                raise ConfigError(f"growth.from_size is {self.growth.from_size}, above the {size} px of the prior")
            return
        if self.losses.conditional and self.augmentation.target:
            raise ConfigError(
                "augmented pictures no longer go with their damaged ones; set conditional or augmentation"
            )
        if self.growth.from_size:
            raise ConfigError(f"growth is for stage prior, and this is {self.stage}; set growth.from_size = 0")
        # For segmentation the input is a map, and nothing is damaged.
        wanted = {"segmentation": "none", "colorization": "colorization", "inpainting": "inpainting"}.get(self.task)
        given, target = self.data.degradation, find_preset(self.data.degradation).target
        if (wanted or "restoration") not in (given, target):
            fitting = f"data.degradation = {wanted!r}" if wanted else f"task = {target!r}"
            raise ConfigError(f"task {self.task} does not go with data.degradation {given!r}; set {fitting}")

    @property
    def value_range(self) -> tuple[float, float]:
        """What the finished network takes and gives: (0, 1) for maps, as the reference has it, else (-1, 1)."""
        return (0.0, 1.0) if self.task == "segmentation" else (-1.0, 1.0)

    def card(self, details: Mapping[str, Any] | None = None) -> ModelCard:
        """The card of the network that this trains."""
        return ModelCard(
            name=self.name,
            task=self.task,
            value_range=self.value_range,
            template=self.network.template,
            border="reflect" if self.network.template == "ffhq" else "black",
            licence=self.licence,
            origin=self.origin,
            details=details or {},
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in the TOML file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Raises ConfigError for unknown keys, with the nearest known one, and for values that do not fit."""
        return fill(cls, values)


def read_recipe(source: str | Path, changes: Mapping[str, Any] | None = None) -> Recipe:
    """The recipe in a TOML file, or of a shipped name; changes: dotted key → value, put over it.

    Raises ConfigError when there is none, it cannot be parsed, or it does not fit.
    """
    path = Path(source)
    if not path.is_file():
        shipped = {p.stem: p for p in sorted((Path(__file__).parent / "recipes").glob("*.toml"))}
        if str(source) not in shipped:
            raise ConfigError(f"there is no recipe {source}: neither a file nor one of {', '.join(shipped)}")
        path = shipped[str(source)]
    values = read_toml(path)
    for key, value in (changes or {}).items():
        *tables, last = key.split(".")
        place = values
        for table in tables:
            place = place.setdefault(table, {})
            if not isinstance(place, dict):
                raise ConfigError(f"{key} cannot be set: {table} is a value, not a table")
        place[last] = value
    return Recipe.from_dict(values)
