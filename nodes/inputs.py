"""Inputs that several nodes share, and the options that their values stand for."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..gpen_core.errors import ConfigError
from ..gpen_core.faces.types import Detection
from ..gpen_core.fields import Option, described
from ..gpen_core.options import Blending, Masking, RestoreOptions, Selection
from .adapter import advanced, compute_device, io
from .wires import BoundingBoxes, FaceLandmarks, Segs

ALL, LARGEST, FILTER, NUMBERED = "all", "largest", "filter", "by number"
FACE_SELECTION = [ALL, FILTER, LARGEST]
SORT_BY = ["area", "x_position", "y_position", "detection_confidence"]
#: What people call a node that restores faces, in other packs too.
RESTORE_WORDS = [
    *("face restore", "facerestore", "restore faces", "fix faces", "enhance face", "face enhancer", "upscale face"),
    *("codeformer", "gfpgan", "reactor", "restoreformer", "gpen"),
]
HIDDEN = [io.Hidden.unique_id]
#: What stands for None among choices, and below a number's range.
AUTO, UNSET = "auto", -1.0
#: Pictures are no larger; a widget needs an end.
_LARGEST = 8192


@dataclass(frozen=True, kw_only=True)
class _Widget:
    """How an input of the first nodes differs from what its field says; saved graphs hold its id, kind and place.

    folded: it is among the advanced ones. whole: only whole numbers.
    """

    id: str
    step: float | None = None
    folded: bool = True
    optional: bool = False
    whole: bool = False
    slider: bool = False


_FIRST = {
    "strength": _Widget(id="visibility", folded=False, slider=True),
    "kind": _Widget(id="mask_kind", folded=False),
    "colour_match": _Widget(id="colour_match", folded=False),
    "blend": _Widget(id="blend"),
    "feather": _Widget(id="feather", step=0.005),
    "threshold": _Widget(id="detection_threshold", step=0.01),
    "min_size": _Widget(id="min_face_size", whole=True),
    "template": _Widget(id="template"),
    "sharpen": _Widget(id="sharpen", step=0.5, optional=True),
}
#: Fields that nodes leave at their defaults, or for which they have other inputs or nodes.
_WITHOUT = {
    *("max_size", "order", "indices", "largest", "longest_side", "rotations", "margin", "least_feather"),
    *("face_strength", "region_strength", "overlap", "smooth_below", "keep_grey", "border", "fit"),
    "antialias",
    *("eight_bits", "batch_size", "keep_crops", "selection", "masking", "blending"),
}
#: Fields that came later, in their order, for saved graphs know inputs by their place. Not named here yet: the newest.
_LATER = ("grain", "only_damaged", "occlusion", "keep_tone")
_PARTS = (Selection, Masking, Blending, RestoreOptions)


def option_input(name: str) -> Any:
    """The input for one field of the options."""
    return _input(next(described(part)[name] for part in _PARTS if name in described(part)))


def unfolded(name: str) -> Any:
    """The input for one field, always in sight."""
    made = option_input(name)
    made.extra_dict.pop("advanced", None)
    return made


def choices_of(name: str) -> tuple[str, ...]:
    """What can be chosen for one field of the options."""
    return tuple(next(described(part)[name].choices for part in _PARTS if name in described(part)))


def later_inputs(*parts: type, without: Collection[str] = ()) -> list[Any]:
    """Inputs for the fields of these parts of the options that came after the first nodes: they go last, in the order
    in which they came. without: fields that the node has elsewhere, or cannot honour."""
    left_out = {*_FIRST, *_WITHOUT, *without}
    later = {n: entry for part in parts for n, entry in described(part).items() if n not in left_out}
    return [
        _input(later[name]) for name in (*(n for n in _LATER if n in later), *(n for n in later if n not in _LATER))
    ]


def _input(entry: Option) -> Any:
    widget = _FIRST.get(entry.name) or _Widget(id=entry.name, optional=True)
    values: dict[str, Any] = {"default": entry.default, "tooltip": entry.help}
    if widget.optional:
        values["optional"] = True
    if entry.choices:
        kind, values["options"] = io.Combo, list(entry.choices)
        if entry.optional:
            values |= {"options": [AUTO, *entry.choices], "default": AUTO}
            values["tooltip"] += f" {AUTO}: {entry.none}."
    elif entry.kind is bool:
        kind = io.Boolean
    elif entry.kind is str:
        kind, values["default"] = io.String, entry.default or ""
    else:
        kind = io.Int if widget.whole or entry.kind is int else io.Float
        number = int if kind is io.Int else float
        low, high = entry.low, min(entry.high, _LARGEST)
        if entry.optional:
            values["default"] = low = UNSET
            values["tooltip"] += f" {UNSET:g}: {entry.none}."
        values |= {"default": number(values["default"]), "min": number(low), "max": number(high)}
        if kind is io.Float:
            values["step"] = widget.step or (entry.high - entry.low) / 20 if math.isfinite(entry.high) else 1.0
            if not math.isclose(values["default"] / values["step"], round(values["default"] / values["step"])):
                values["round"] = False
    if widget.slider:
        values["display_mode"] = io.NumberDisplay.slider
    made = kind.Input(widget.id, **values)
    return advanced(made) if widget.folded else made


def option_ids() -> list[str]:
    """Ids of all inputs that are options of the core."""
    return [_id(name) for part in _PARTS for name in described(part) if name not in _WITHOUT]


def options_of(values: Mapping[str, Any], *, keep_crops: bool = True) -> RestoreOptions:
    """The core's options for the values of option inputs, by their ids. Raises ConfigError, naming the input."""
    known = option_ids()
    if unknown := sorted({*values} - {*known}):
        raise ConfigError(f"no input is called {unknown[0]}; there are {', '.join(known)}")
    options = _with_values(RestoreOptions(), values)
    # A processor gains nothing by a batch; small ones keep progress and cancel lively.
    return replace(options, batch_size=2 if compute_device().type == "cpu" else None, keep_crops=keep_crops)


def _id(name: str) -> str:
    return _FIRST[name].id if name in _FIRST else name


def _with_values(options: Any, values: Mapping[str, Any]) -> Any:
    changed = {}
    for name, entry in described(type(options)).items():
        if entry.kind in _PARTS:
            changed[name] = _with_values(getattr(options, name), values)
            continue
        value = values.get(_id(name))
        if value is None or (entry.optional and _stands_for_none(value)):
            continue
        changed[name] = entry.checked(value, _id(name))
    return replace(options, **changed)


def _stands_for_none(value: Any) -> bool:
    return value in (AUTO, "") if isinstance(value, str) else isinstance(value, float | int) and value < 0


def selection_inputs() -> list[Any]:
    """Which of the faces found are taken."""
    return [
        io.Combo.Input(
            "face_selection",
            options=FACE_SELECTION,
            default=ALL,
            tooltip="all: every face. largest: the largest one of each picture. filter: sorted by sort_by, then "
            "take_count of them from take_start on.",
        ),
        io.Combo.Input(
            "sort_by",
            options=SORT_BY,
            default="area",
            tooltip="With filter: area and detection_confidence put the largest first, x_position and y_position the "
            "leftmost and topmost.",
        ),
        io.Boolean.Input("reverse_order", default=False, tooltip="With filter: the sorted faces from the other end."),
        io.Int.Input(
            "take_start", default=0, min=0, max=1000, tooltip="With filter: the first face taken, counted from 0."
        ),
        io.Int.Input(
            "take_count", default=1, min=0, max=1000, tooltip="With filter: how many faces are taken; 0 takes the rest."
        ),
    ]


def detection_inputs() -> list[Any]:
    """When something counts as a face."""
    return [option_input("threshold"), option_input("min_size")]


def masking_inputs() -> list[Any]:
    """How the faces go back into the picture."""
    return [option_input(name) for name in ("kind", "colour_match", "blend", "feather")]


def crops_detail_input() -> Any:
    """Whether crops go back as the one node puts them: off, as any node's change of a crop is wanted as it is."""
    return io.Boolean.Input(
        "keep_detail",
        default=False,
        optional=True,
        tooltip="On: crops go back as Restore Faces puts them, with the picture's own fine structure, and large faces "
        "changed by as much as they are damaged. Off: they go back as they are, whatever made them.",
    )


def given_faces_inputs() -> list[Any]:
    """Faces that another node has found."""
    return [
        BoundingBoxes.Input(
            "bounding_boxes",
            optional=True,
            extra_dict={"forceInput": True},
            tooltip="Boxes of the faces to take, instead of the detector's. Their landmarks are looked for inside.",
        ),
        FaceLandmarks.Input(
            "face_landmarks",
            optional=True,
            tooltip="Face meshes (MediaPipe) of the faces to take; no detector is needed.",
        ),
        Segs.Input("segs", optional=True, tooltip="Regions (Impact Pack) around the faces to take."),
    ]


def smoothing_input() -> Any:
    """Whether frames follow one another."""
    return io.Boolean.Input(
        "temporal_smoothing",
        default=False,
        tooltip="The pictures are consecutive frames of a film: faces are followed and smoothed so that they do not "
        "jitter. Leave it off for unrelated pictures.",
    )


def numbers_input() -> Any:
    """Faces by their numbers."""
    return advanced(
        io.String.Input(
            "face_numbers",
            default="",
            optional=True,
            tooltip="Only these faces, by the numbers that Preview Faces shows: 0, or 0,2. Faces are numbered in the "
            "order of sort_by. Empty: what face_selection says.",
        )
    )


@dataclass(frozen=True)
class Choice:
    """The faces of one picture to those of them that the selection inputs leave, in the order that sort_by says."""

    face_selection: str
    sort_by: str
    reverse_order: bool
    take_start: int
    take_count: int
    numbers: tuple[int, ...]

    def __call__(self, faces: Sequence[Detection]) -> list[Detection]:
        """Those that are taken."""
        ordered = sorted(faces, key=_SORT_KEYS[self.sort_by], reverse=self.reverse_order)
        if self.numbers:
            return [ordered[number] for number in self.numbers if number < len(ordered)]
        if self.face_selection == ALL or not ordered:
            return ordered
        if self.face_selection == LARGEST:
            return [max(ordered, key=lambda face: face.width * face.height)]
        return ordered[self.take_start : self.take_start + self.take_count if self.take_count else None]


def choice_of(
    face_selection: str, sort_by: str, reverse_order: bool, take_start: int, take_count: int, face_numbers: str = ""
) -> Choice:
    """What the selection inputs say. Raises ConfigError for numbers that are none, and where numbers are to choose and
    there are none."""
    numbers = tuple(_numbers(face_numbers))
    if face_selection == NUMBERED and not numbers:
        raise ConfigError("faces is by number and face_numbers is empty; enter the faces' numbers, as 0 or 0,2")
    return Choice(face_selection, sort_by, reverse_order, take_start, take_count, numbers)


def _numbers(text: str) -> list[int]:
    parts = [part.strip() for part in text.replace(";", ",").split(",") if part.strip()]
    if any(not part.isdecimal() for part in parts):
        raise ConfigError(f"face_numbers is {text!r}; expected whole numbers from 0 with commas between, as 0,2")
    return list(dict.fromkeys(int(part) for part in parts))


_SORT_KEYS: dict[str, Callable[[Detection], float]] = {
    "area": lambda face: -face.width * face.height,
    "x_position": lambda face: float(face.box[0] + face.box[2]),
    "y_position": lambda face: float(face.box[1] + face.box[3]),
    "detection_confidence": lambda face: -face.score,
}
