"""What a restoration does beyond its defaults: which faces, which mask, how the face is put back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from .errors import ConfigError
from .fields import by_name, check, option

Order = Literal["found", "size", "score", "left", "top"]
MaskKind = Literal["auto", "parser", "ellipse", "box"]
ColourMatch = Literal["none", "surroundings", "crop"]
Overlap = Literal["soft", "hard"]
Blend = Literal["alpha", "laplacian"]
Region = Literal["eyes", "mouth", "skin", "hair"]
Template = Literal["gpen", "ffhq", "arcface"]
Border = Literal["black", "reflect"]
FitMethod = Literal["least_squares", "least_median"]

#: How many times wider and higher results may be, and the least tile of what the background is enlarged by.
LARGEST_SCALE, LEAST_TILE = 8, 16


@by_name
@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which of the detected faces are restored."""

    threshold: float = option(
        0.9,
        low=0,
        high=1,
        help="Least confidence of a face. Lower it when faces are missed, raise it when others are found.",
    )
    min_size: float = option(
        0.0, low=0, form="PX", help="Faces whose box is shorter than this many pixels are left alone."
    )
    max_size: float = option(
        math.inf,
        low=0,
        form="PX",
        help="Faces whose box's shorter side is longer than this many pixels are left alone.",
    )
    order: Order = option(
        "found",
        help="How faces are counted. found: as the detector gives them. size, score: the largest first. left, top: by "
        "the place of their box.",
    )
    indices: tuple[int, ...] | None = option(
        None, low=0, form="0,2", help="Only these faces, counted from 0 in that order.", none="all"
    )
    largest: int | None = option(None, low=1, form="N", help="At most the N largest of them.", none="all")
    longest_side: int | None = option(
        None,
        low=32,
        form="PX",
        help="Pictures are shrunk to this longest side before the detector sees them.",
        none="the detector's own",
    )
    rotations: bool = option(
        False, help="Find faces that lie on their side as well: the picture is also looked at turned."
    )

    def __post_init__(self) -> None:
        check(self)
        if self.min_size > self.max_size:
            raise ConfigError(f"min_size {self.min_size:g} is larger than max_size {self.max_size:g}")


@by_name
@dataclass(frozen=True, kw_only=True)
class Masking:
    """How much of each crop goes back into the picture. Hat, cloth and background stay out of a parser's mask."""

    kind: MaskKind = option(
        "auto",
        help="What of a crop goes back. parser: the face and hair, by a parsing network. ellipse, box: a shape. "
        "auto: parser where the model has one, else ellipse.",
    )
    margin: float = option(
        26 / 512, low=0, high=0.4, help="Border of the crop that stays out, as a fraction of the crop's side."
    )
    feather: float = option(
        12 / 512, low=0, high=0.2, help="Softness of the mask's edge, as a fraction of the crop's side."
    )
    least_feather: float = option(
        1.0, low=0, high=100, form="PX", help="The mask's edge is at least this soft, in pixels of the picture."
    )
    occlusion: bool = option(
        False,
        help="What covers a face stays as it is: a hand, a microphone or a mask as a network that ships sees it, and "
        "glasses and the like by a parser's labels, where there is one.",
    )

    def __post_init__(self) -> None:
        check(self)


@by_name
@dataclass(frozen=True, kw_only=True)
class Blending:
    """How the restored face is mixed with what was there. The three strengths are multiplied."""

    strength: float = option(
        1.0,
        low=0,
        high=1,
        help="How much of the restored face is seen: 1 all of it, 0 leaves the picture as it is.",
    )
    face_strength: Mapping[int, float] = option(
        dict,
        low=0,
        high=1,
        form="0=0.5,2=0",
        help="Strength of single faces, by their number, which is the same whichever of them are restored.",
    )
    region_strength: Mapping[Region, float] = option(
        dict,
        low=0,
        high=1,
        form="eyes=0.5,hair=0",
        help="Strength within eyes, mouth, skin or hair. Needs a parser with labels.",
    )
    colour_match: ColourMatch = option(
        "none",
        help="The restored face takes on the mean and contrast of the picture around it (surroundings) or of the whole "
        "crop before restoration (crop).",
    )
    blend: Blend = option(
        "alpha",
        help="alpha: one soft edge. laplacian: coarse structure over a wide edge, fine structure over a narrow one.",
    )
    overlap: Overlap = option(
        "soft",
        help="Where faces meet. soft: both, weighted by their masks. hard: the one with the larger mask, as GPEN.",
    )
    smooth_below: float = option(
        0.0, low=0, form="PX", help="Restored faces whose box is shorter than this many pixels are smoothed a little."
    )
    grain: float = option(
        0.0,
        low=0,
        high=1,
        help="How much of the picture's own grain is laid back over restored faces, so that they do not look pasted "
        "in. 0: none, 1: as much as around them.",
    )
    keep_detail: bool = option(
        True,
        help="Structure that is finer than the model's own size stays the picture's, and large faces are changed by as "
        "much as they are damaged.",
    )
    keep_tone: bool = option(
        True, help="Faces of a picture without colours stay without, and those of a toned one in its tone."
    )
    only_damaged: bool = option(
        False, help="Faces that are as good as photographs are stay as they are, to the bit; others are restored."
    )
    keep_grey: bool = option(False, help="Faces that are grey stay grey, also in a picture with colours.")

    def __post_init__(self) -> None:
        check(self)

    def strength_of(self, index: int) -> float:
        """Overall strength times that of face `index`."""
        return self.strength * self.face_strength.get(index, 1.0)


@by_name
@dataclass(frozen=True, kw_only=True)
class RestoreOptions:
    """Everything that `FaceRestorer.restore` can be told."""

    selection: Selection = option(Selection, help="Which of the faces are restored.")
    masking: Masking = option(Masking, help="How much of each crop goes back.")
    blending: Blending = option(Blending, help="How the restored face is mixed in.")
    template: Template | None = option(
        None,
        help="Where eyes, nose and mouth lie in the crop given to the network.",
        none="what the model was trained for",
    )
    border: Border | None = option(
        None, help="What a crop shows beyond the picture's edge.", none="what the model was trained for"
    )
    fit: FitMethod = option("least_squares", help="How landmarks are fitted to the template.")
    antialias: bool = option(
        True, help="Sources with more pixels than their target are shrunk before they are sampled, both ways."
    )
    eight_bits: bool = option(
        False,
        help="Crops are rounded and results truncated to 8 bits, positions rounded to 1/32 px, as in the reference.",
    )
    sharpen: float | None = option(
        None,
        low=0,
        high=20,
        help="Firmer edges, by as much as the model had to change a face. 0: none.",
        none="what the model recommends",
    )
    batch_size: int | None = option(
        None,
        low=1,
        form="N",
        help="Most faces that go through the network at once.",
        none="by memory and a second of work",
    )
    keep_crops: bool = option(True, help="`RestoredFace.crop` and `.restored` are kept.")

    def __post_init__(self) -> None:
        check(self)

    @classmethod
    def reference(cls, *, strength: float = 1.0, aligned: bool = False) -> RestoreOptions:
        """What GPEN's own pipeline does: its parser's mask with a 26 px border, blurred twice with sigma 4 at 512 px,
        8 bits between the steps, faces under 100 px smoothed, the larger mask winning where faces meet. aligned: for
        faces that are straightened already, which it gives back whole."""
        parsed = Masking(kind="parser", margin=26 / 512, feather=math.hypot(4, 4) / 512, least_feather=0)
        return cls(
            masking=Masking() if aligned else parsed,
            blending=Blending(strength=strength, overlap="hard", smooth_below=100, keep_detail=False, keep_tone=False),
            template=None if aligned else "gpen",
            border=None if aligned else "black",
            antialias=False,
            eight_bits=True,
            sharpen=0,
        )

    @classmethod
    def of(cls, given: RestoreOptions | None) -> RestoreOptions:
        """What was given, or the defaults for None. Raises ConfigError for anything else, such as a dictionary."""
        if given is None:
            return cls()
        if not isinstance(given, cls):
            raise ConfigError(
                f"options are given as {type(given).__name__}; expected RestoreOptions, such as "
                "RestoreOptions(blending=Blending(strength=0.8))"
            )
        return given

    @property
    def needs_parser(self) -> bool:
        """Whether these cannot be done without a parser."""
        return self.masking.kind == "parser" or bool(self.blending.region_strength)

    def with_strength(self, strength: float) -> RestoreOptions:
        """The same with another overall strength."""
        return replace(self, blending=replace(self.blending, strength=strength))
