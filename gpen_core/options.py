"""What a restoration does beyond its defaults: which faces, which mask, how the face is put back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, get_args

from .errors import ConfigError

Order = Literal["found", "size", "score", "left", "top"]
MaskKind = Literal["auto", "parser", "ellipse", "box"]
ColourMatch = Literal["none", "surroundings", "crop"]
Overlap = Literal["soft", "hard"]
Blend = Literal["alpha", "laplacian"]
Region = Literal["eyes", "mouth", "skin", "hair"]
Template = Literal["gpen", "ffhq"]
Border = Literal["black", "reflect"]
FitMethod = Literal["least_squares", "least_median"]


def _check_choice(owner: object, name: str, choices: Any) -> None:
    value = getattr(owner, name)
    if value not in get_args(choices):
        raise ConfigError(f"{name} is {value!r}; expected one of {', '.join(get_args(choices))}")


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ConfigError(f"{name} is {value!r}; expected a number from {low:g} to {high:g}")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which of the detected faces are restored.

    threshold: least score. min_size, max_size: of the box's shorter side, pixels of the picture.
    order: found (as the detector gives them), size or score (largest first), left or top (position of the box).
    indices: only these, counted from 0 in that order. largest: then at most this many, the largest first chosen.
    longest_side: pictures are shrunk to it before the detector sees them; None: the detector's own size.
    rotations: the picture is also tried at 90, 180 and 270 degrees, for faces that lie on their side.
    """

    threshold: float = 0.9
    min_size: float = 0.0
    max_size: float = math.inf
    order: Order = "found"
    indices: tuple[int, ...] | None = None
    largest: int | None = None
    longest_side: int | None = None
    rotations: bool = False

    def __post_init__(self) -> None:
        _check_range("threshold", self.threshold, 0, 1)
        _check_range("min_size", self.min_size, 0, math.inf)
        _check_range("max_size", self.max_size, 0, math.inf)
        if self.min_size > self.max_size:
            raise ConfigError(f"min_size {self.min_size:g} is larger than max_size {self.max_size:g}")
        _check_choice(self, "order", Order)
        if self.indices is not None:
            object.__setattr__(self, "indices", tuple(self.indices))
            if any(not isinstance(i, int) or i < 0 for i in self.indices):
                raise ConfigError(f"indices are {self.indices}; expected whole numbers from 0")
        for name, least in (("largest", 1), ("longest_side", 32)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ConfigError(f"{name} is {value}; expected at least {least}, or None")


@dataclass(frozen=True, kw_only=True)
class Masking:
    """How much of each crop goes back into the picture.

    kind: parser (background, hat and cloth stay as they were), ellipse, box; auto: parser where there is one, else
    ellipse. margin: border of the crop that stays out, fraction of its side. feather: standard deviation of the mask's
    Gaussian edge, fraction of the crop's side, but at least `least_feather` px of the picture.
    """

    kind: MaskKind = "auto"
    margin: float = 26 / 512
    feather: float = 12 / 512
    least_feather: float = 1.0

    def __post_init__(self) -> None:
        _check_choice(self, "kind", MaskKind)
        _check_range("margin", self.margin, 0, 0.4)
        _check_range("feather", self.feather, 0, 0.2)
        _check_range("least_feather", self.least_feather, 0, 100)


@dataclass(frozen=True, kw_only=True)
class Blending:
    """How the restored face is mixed with what was there.

    strength: 0 (nothing changes) to 1. face_strength: of single faces by their index, region_strength: of eyes, mouth,
    skin or hair, which needs a parser with labels; the three are multiplied.
    colour_match: the restored face takes on the mean and contrast of its surroundings (the ring where the mask falls
    off) or of the whole crop. blend: laplacian mixes coarse bands over wide and fine bands over narrow transitions.
    overlap: where faces meet, soft weights them by their masks, hard lets the larger mask win, as GPEN does.
    smooth_below: restored faces whose box is shorter than this are smoothed by a 3×3 binomial; 0: none.
    keep_grey: faces of a grey picture stay grey.
    """

    strength: float = 1.0
    face_strength: Mapping[int, float] = field(default_factory=dict)
    region_strength: Mapping[str, float] = field(default_factory=dict)
    colour_match: ColourMatch = "none"
    blend: Blend = "alpha"
    overlap: Overlap = "soft"
    smooth_below: float = 0.0
    keep_grey: bool = False

    def __post_init__(self) -> None:
        _check_range("strength", self.strength, 0, 1)
        for index, value in self.face_strength.items():
            _check_range(f"face_strength of face {index}", value, 0, 1)
        for region, value in self.region_strength.items():
            if region not in get_args(Region):
                raise ConfigError(f"region_strength names {region!r}; the regions are {', '.join(get_args(Region))}")
            _check_range(f"region_strength of {region}", value, 0, 1)
        for name in ("face_strength", "region_strength"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        _check_choice(self, "colour_match", ColourMatch)
        _check_choice(self, "blend", Blend)
        _check_choice(self, "overlap", Overlap)
        _check_range("smooth_below", self.smooth_below, 0, math.inf)

    def strength_of(self, index: int) -> float:
        """Overall strength times that of face `index`."""
        return self.strength * self.face_strength.get(index, 1.0)


@dataclass(frozen=True, kw_only=True)
class RestoreOptions:
    """Everything that `FaceRestorer.restore` can be told.

    template, border: None takes the model card's. fit: how landmarks are fitted to the template.
    antialias: a source with more pixels than its target is shrunk before it is sampled, both ways; the reference
    samples as it is, and aliases. eight_bits: crops are rounded and results truncated to 8 bits, positions rounded to
    1/32 px, as in the reference.
    sharpen: unsharp masking of each restored face, times how much of its fine structure the network changed: a good
    face stays as it is. 0: none; None: what the model's card recommends, 0 for all but small models.
    batch_size: faces that go through the network at once, at most; None: sized to memory and to a second of work.
    keep_crops: `RestoredFace.crop` and `.restored` are kept.
    """

    selection: Selection = field(default_factory=Selection)
    masking: Masking = field(default_factory=Masking)
    blending: Blending = field(default_factory=Blending)
    template: Template | None = None
    border: Border | None = None
    fit: FitMethod = "least_squares"
    antialias: bool = True
    eight_bits: bool = False
    sharpen: float | None = None
    batch_size: int | None = None
    keep_crops: bool = True

    def __post_init__(self) -> None:
        for name, choices in (("template", Template), ("border", Border)):
            if getattr(self, name) is not None:
                _check_choice(self, name, choices)
        _check_choice(self, "fit", FitMethod)
        if self.sharpen is not None:
            _check_range("sharpen", self.sharpen, 0, 20)
        if self.batch_size is not None and self.batch_size < 1:
            raise ConfigError(f"batch_size is {self.batch_size}; expected at least 1, or None")

    @classmethod
    def reference(cls, *, strength: float = 1.0) -> RestoreOptions:
        """What GPEN's own pipeline does: its parser's mask with a 26 px border, blurred twice with sigma 4 at 512 px,
        8 bits between the steps, faces under 100 px smoothed, the larger mask winning where faces meet."""
        return cls(
            masking=Masking(kind="parser", margin=26 / 512, feather=math.hypot(4, 4) / 512, least_feather=0),
            blending=Blending(strength=strength, overlap="hard", smooth_below=100),
            template="gpen",
            border="black",
            antialias=False,
            eight_bits=True,
            sharpen=0,
        )

    def with_strength(self, strength: float) -> RestoreOptions:
        """The same with another overall strength."""
        return replace(self, blending=replace(self.blending, strength=strength))
