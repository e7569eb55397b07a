"""Inputs that several nodes share, and the options that their values stand for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..gpen_core.faces.types import Detection
from ..gpen_core.options import Blending, Masking, RestoreOptions, Selection
from .adapter import advanced, compute_device, io
from .wires import BoundingBoxes, FaceLandmarks, Segs

FACE_SELECTION = ["all", "filter", "largest"]
SORT_BY = ["area", "x_position", "y_position", "detection_confidence"]
MASK_KINDS = ["auto", "parser", "ellipse", "box"]
COLOUR_MATCH = ["none", "surroundings", "crop"]
BLENDS = ["alpha", "laplacian"]
TEMPLATES = ["auto", "gpen", "ffhq"]


def visibility(default: float = 1.0) -> Any:
    """How much of the restored face is seen."""
    return io.Float.Input(
        "visibility",
        default=default,
        min=0.0,
        max=1.0,
        step=0.05,
        display_mode=io.NumberDisplay.slider,
        tooltip="How much of the restored face is seen: 1 all of it, 0 leaves the picture as it is.",
    )


def selection_inputs() -> list[Any]:
    """Which of the faces found are taken."""
    return [
        io.Combo.Input(
            "face_selection",
            options=FACE_SELECTION,
            default="all",
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
    return [
        advanced(
            io.Float.Input(
                "detection_threshold",
                default=0.9,
                min=0.0,
                max=1.0,
                step=0.01,
                tooltip="Least confidence of a face. Lower it when faces are missed, raise it when others are found.",
            )
        ),
        advanced(
            io.Int.Input(
                "min_face_size",
                default=0,
                min=0,
                max=8192,
                tooltip="Faces whose box is shorter than this many pixels are left alone.",
            )
        ),
    ]


def masking_inputs() -> list[Any]:
    """How the faces go back into the picture."""
    return [
        io.Combo.Input(
            "mask_kind",
            options=MASK_KINDS,
            default="auto",
            tooltip="What of a crop goes back. parser: the face and hair, by a parsing network. ellipse, box: a shape. "
            "auto: parser where the model has one, else ellipse.",
        ),
        io.Combo.Input(
            "colour_match",
            options=COLOUR_MATCH,
            default="none",
            tooltip="The restored face takes on the mean and contrast of the picture around it (surroundings) or of "
            "the whole crop before restoration (crop).",
        ),
        advanced(
            io.Combo.Input(
                "blend",
                options=BLENDS,
                default="alpha",
                tooltip="alpha: one soft edge. laplacian: coarse structure over a wide edge, fine structure over a "
                "narrow one.",
            )
        ),
        advanced(
            io.Float.Input(
                "feather",
                default=Masking().feather,
                round=False,
                min=0.0,
                max=0.2,
                step=0.005,
                tooltip="Softness of the mask's edge, as a fraction of the crop's side.",
            )
        ),
    ]


def template_input() -> Any:
    """Where the landmarks lie in a crop."""
    return advanced(
        io.Combo.Input(
            "template",
            options=TEMPLATES,
            default="auto",
            tooltip="Where eyes, nose and mouth lie in the crop given to the network. auto: what the model was "
            "trained for.",
        )
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


def sharpen_input() -> Any:
    """How much firmer a restored face's edges get."""
    return advanced(
        io.Float.Input(
            "sharpen",
            optional=True,
            default=-1.0,
            min=-1.0,
            max=20.0,
            step=0.5,
            tooltip="Firmer edges, by as much as the model had to change a face. 0: none. -1: what the model "
            "recommends.",
        )
    )


def smoothing_input() -> Any:
    """Whether frames follow one another."""
    return io.Boolean.Input(
        "temporal_smoothing",
        default=False,
        tooltip="The pictures are consecutive frames of a film: faces are followed and smoothed so that they do not "
        "jitter. Leave it off for unrelated pictures.",
    )


def selection_of(detection_threshold: float, min_face_size: int) -> Selection:
    """The core's selection: what counts as a face; `choice_of` does the rest."""
    return Selection(threshold=detection_threshold, min_size=float(min_face_size))


def options_of(
    *,
    visibility: float = 1.0,
    mask_kind: str = "auto",
    colour_match: str = "none",
    blend: str = "alpha",
    feather: float = Masking().feather,
    template: str = "auto",
    sharpen: float | None = None,
    selection: Selection | None = None,
    keep_crops: bool = True,
) -> RestoreOptions:
    """The core's options for these values of the inputs above."""
    return RestoreOptions(
        selection=selection or Selection(),
        masking=Masking(kind=mask_kind, feather=feather),
        blending=Blending(strength=visibility, colour_match=colour_match, blend=blend),
        template=None if template == "auto" else template,
        sharpen=None if sharpen is None or sharpen < 0 else sharpen,
        # A processor gains nothing by a batch; small ones keep progress and cancel lively.
        batch_size=2 if compute_device().type == "cpu" else None,
        keep_crops=keep_crops,
    )


def choice_of(
    face_selection: str, sort_by: str, reverse_order: bool, take_start: int, take_count: int
) -> Callable[[Sequence[Detection]], list[Detection]]:
    """The faces of one picture to those of them that the selection inputs leave, in their order."""

    def chosen(faces: Sequence[Detection]) -> list[Detection]:
        if face_selection == "all" or not faces:
            return list(faces)
        if face_selection == "largest":
            return [max(faces, key=lambda face: face.width * face.height)]
        ordered = sorted(faces, key=_SORT_KEYS[sort_by], reverse=reverse_order)
        return ordered[take_start : take_start + take_count if take_count else None]

    return chosen


_SORT_KEYS: dict[str, Callable[[Detection], float]] = {
    "area": lambda face: -face.width * face.height,
    "x_position": lambda face: float(face.box[0] + face.box[2]),
    "y_position": lambda face: float(face.box[1] + face.box[3]),
    "detection_confidence": lambda face: -face.score,
}
