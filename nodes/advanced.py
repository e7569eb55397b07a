"""Restore Faces (advanced): every option, of which a choice unfolds only those that belong to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..gpen_core.errors import FaceError
from ..gpen_core.options import Blending, Masking, RestoreOptions, Selection
from ..gpen_core.weights import zoo
from . import files, inputs
from .adapter import io, schema
from .find import UNKNOWN, Given
from .inputs import ALL, FILTER, LARGEST, NUMBERED
from .kept import ModelKeeper, model_by_name
from .model import FaceModel
from .restore import canvas_inputs, restored_outputs
from .restoring import restore_images
from .wires import BoundingBoxes, FaceLandmarks, Faces, GPENFaces, GPENModel, Segs

_ORDER = ("sort_by", "reverse_order")
#: Options that came after this node.
_LAST = ("keep_detail",)


class RestoreAdvanced(ModelKeeper, io.ComfyNode):
    @classmethod
    def define_schema(cls) -> Any:
        selection = {part.id: part for part in inputs.selection_inputs()}
        numbers = io.String.Input(
            "face_numbers", default="0", tooltip="Numbers as Preview Faces shows them, in the order of sort_by: 0,2."
        )
        order = [selection[name] for name in _ORDER]
        filtered = [*order, selection["take_start"], selection["take_count"]]
        feather = inputs.unfolded("feather")
        return schema(
            node_id="GPEN_RestoreAdvanced",
            display_name="Restore Faces (advanced)",
            category="GPEN",
            description="Restore Faces with every option: given faces, masks, colours, films, an enlarged background.",
            search_aliases=inputs.RESTORE_WORDS,
            inputs=[
                io.Image.Input("image", tooltip="One picture or a batch of frames."),
                inputs.option_input("strength"),
                io.DynamicCombo.Input(
                    "faces",
                    options=[
                        io.DynamicCombo.Option(ALL, []),
                        io.DynamicCombo.Option(LARGEST, []),
                        io.DynamicCombo.Option(FILTER, filtered),
                        io.DynamicCombo.Option(NUMBERED, [*order, numbers]),
                    ],
                    tooltip="Which of the faces are restored.",
                ),
                io.DynamicCombo.Input(
                    "mask_kind",
                    options=[
                        io.DynamicCombo.Option(kind, [] if kind == "auto" else [feather])
                        for kind in inputs.choices_of("kind")
                    ],
                    tooltip="How much of each face goes back: its parsed outline, an ellipse, the whole crop; auto "
                    "takes the parser where there is one.",
                ),
                *(inputs.option_input(name) for name in ("colour_match", "blend", "threshold", "min_size")),
                *(inputs.option_input(name) for name in ("template", "sharpen")),
                inputs.smoothing_input(),
                *inputs.later_inputs(Selection, Masking, Blending, RestoreOptions, without=_LAST),
                GPENModel.Input(
                    "gpen_model",
                    optional=True,
                    lazy=True,
                    tooltip="From Load GPEN Model. Not connected: the model that ships.",
                ),
                io.MultiType.Input(
                    "given_faces",
                    types=[GPENFaces, BoundingBoxes, FaceLandmarks, Segs],
                    optional=True,
                    tooltip="The faces to take, instead of the detector's: from Detect Faces, boxes, face meshes "
                    "(MediaPipe) or SEGS (Impact Pack).",
                ),
                *canvas_inputs(),
                *map(inputs.option_input, _LAST),
            ],
            outputs=restored_outputs(),
            hidden=inputs.HIDDEN,
        )

    @classmethod
    def fingerprint_inputs(cls, **chosen: Any) -> str:
        """Changes with the files that are taken where no model is connected."""
        return files.fingerprint(zoo.DEFAULT_MODEL)

    @classmethod
    def check_lazy_status(cls, visibility: float = 1.0, **connected: Any) -> list[str]:
        """At visibility 0 nothing is asked of the model, and it is not loaded. What is not connected is not given."""
        return ["gpen_model"] if visibility and connected.get("gpen_model", ...) is None else []

    @classmethod
    def execute(
        cls,
        image: Tensor,
        faces: Mapping[str, Any],
        mask_kind: Mapping[str, Any],
        temporal_smoothing: bool = False,
        gpen_model: FaceModel | None = None,
        given_faces: Any = None,
        mask: Tensor | None = None,
        upscale_model: Any = None,
        **options: Any,
    ) -> Any:
        chosen = inputs.choice_of(
            faces["faces"],
            faces.get("sort_by", "area"),
            faces.get("reverse_order", False),
            faces.get("take_start", 0),
            faces.get("take_count", 0),
            faces.get("face_numbers", "") if faces["faces"] == NUMBERED else "",
        )
        return restore_images(
            gpen_model or model_by_name(zoo.DEFAULT_MODEL),
            image,
            inputs.options_of({**options, **mask_kind}),
            chosen,
            _given(given_faces),
            temporal_smoothing=temporal_smoothing,
            mask=mask,
            upscale_model=upscale_model,
            node=cls,
        )


def _given(faces: Any) -> Given:
    """`given_faces` as the argument that its kind belongs to. Raises FaceError for what is none of them."""
    if faces is None:
        return UNKNOWN
    if isinstance(faces, Faces):
        return Given(detections=faces)
    if isinstance(faces, Mapping) and "frames" in faces:
        return Given(face_landmarks=faces)
    if isinstance(faces, tuple) and len(faces) == 2:
        return Given(segs=faces)
    if isinstance(faces, list | Mapping):
        return Given(bounding_boxes=faces)
    raise FaceError(f"given_faces must be faces, boxes, face meshes or SEGS, got {type(faces).__name__}")
