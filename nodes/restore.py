"""Restore Faces: everything in one node."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..gpen_core.options import Blending, Masking, RestoreOptions, Selection
from . import inputs
from .adapter import io, schema
from .find import Given
from .model import FaceModel
from .restoring import restore_images
from .wires import BoundingBoxes, GPENModel, UpscaleModel


class RestoreFaces(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> Any:
        return schema(
            node_id="GPEN_RestoreFaces",
            display_name="Restore Faces (GPEN)",
            category="GPEN",
            description="Finds every face, straightens it, restores it with a GPEN model and puts it back without a "
            "seam. Pictures without a face pass through.",
            search_aliases=inputs.RESTORE_WORDS,
            inputs=[
                GPENModel.Input("gpen_model", tooltip="From Load GPEN Model."),
                io.Image.Input("image", tooltip="One picture or a batch of frames."),
                inputs.option_input("strength"),
                *inputs.selection_inputs(),
                *inputs.masking_inputs(),
                *inputs.detection_inputs(),
                inputs.option_input("template"),
                inputs.smoothing_input(),
                *inputs.given_faces_inputs(),
                *canvas_inputs(),
                inputs.option_input("sharpen"),
                inputs.numbers_input(),
                *inputs.later_inputs(Selection, Masking, Blending, RestoreOptions),
            ],
            outputs=restored_outputs(),
            hidden=inputs.HIDDEN,
        )

    @classmethod
    def execute(
        cls,
        gpen_model: FaceModel,
        image: Tensor,
        face_selection: str,
        sort_by: str,
        reverse_order: bool,
        take_start: int,
        take_count: int,
        temporal_smoothing: bool,
        bounding_boxes: Any = None,
        face_landmarks: Any = None,
        segs: Any = None,
        mask: Tensor | None = None,
        upscale_model: Any = None,
        face_numbers: str = "",
        **options: Any,
    ) -> Any:
        chosen = inputs.choice_of(face_selection, sort_by, reverse_order, take_start, take_count, face_numbers)
        return restore_images(
            gpen_model,
            image,
            inputs.options_of(options),
            chosen,
            Given(None, face_landmarks, bounding_boxes, segs),
            temporal_smoothing=temporal_smoothing,
            mask=mask,
            upscale_model=upscale_model,
            node=cls,
        )


def canvas_inputs() -> list[Any]:
    """What the faces go into: how much of it may change, and what enlarges it."""
    return [
        io.Mask.Input("mask", optional=True, tooltip="Only what is white here may change, as far as it is white."),
        UpscaleModel.Input(
            "upscale_model",
            optional=True,
            tooltip="Enlarges everything that is no face; the faces are pasted into its result.",
        ),
    ]


def restored_outputs() -> list[Any]:
    """What a node gives that restores pictures, as `restore_images` fills it."""
    return [
        io.Image.Output("image", tooltip="The pictures with their faces restored."),
        io.Mask.Output("mask", tooltip="How much of each pixel is restored face."),
        io.Image.Output("faces_before", tooltip="The straightened faces as the network saw them."),
        io.Image.Output("faces_after", tooltip="The same faces as it gave them back."),
        BoundingBoxes.Output("bounding_boxes", tooltip="The boxes of the restored faces of each picture."),
        io.Int.Output("face_count", tooltip="How many faces were restored in all pictures together."),
    ]
