"""Restore Faces in one node: no loader, four widgets."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..gpen_core.weights import zoo
from . import adapter, files, inputs
from .adapter import io, schema
from .inputs import ALL, LARGEST, NUMBERED
from .kept import ModelKeeper, model_by_name
from .restoring import restore_images


class Restore(ModelKeeper, io.ComfyNode):
    @classmethod
    def define_schema(cls) -> Any:
        return schema(
            node_id="GPEN_Restore",
            display_name="Restore Faces",
            category="GPEN",
            essentials_category="Image Tools",
            description="Finds every face, restores it and puts it back without a seam. Nothing else is needed: the "
            "model ships with the pack.",
            search_aliases=inputs.RESTORE_WORDS,
            inputs=[
                io.Image.Input("image", tooltip="One picture or a batch."),
                io.Combo.Input(
                    "model",
                    options=files.restorers(),
                    default=zoo.DEFAULT_MODEL,
                    tooltip=f"{zoo.DEFAULT_MODEL} ships with the pack; the others are files of yours, or are fetched "
                    "when first used.",
                ),
                inputs.option_input("strength"),
                io.Combo.Input(
                    "faces",
                    options=[ALL, LARGEST, NUMBERED],
                    default=ALL,
                    tooltip="Which faces are restored. by number: those of face_numbers.",
                ),
                io.String.Input(
                    "face_numbers",
                    default="0",
                    tooltip="With by number: 0 is the largest face, 1 the next; 0,2 takes two. Preview Faces shows the "
                    "numbers.",
                ),
            ],
            outputs=[
                io.Image.Output("image", tooltip="The pictures with their faces restored."),
                io.Mask.Output("mask", tooltip="How much of each pixel is restored face."),
                io.Int.Output("face_count", tooltip="How many faces were restored in all pictures together."),
            ],
            hidden=inputs.HIDDEN,
        )

    @classmethod
    def validate_inputs(cls, model: str) -> bool | str:
        """Whether the model is there or can be fetched."""
        return files.available(model, adapter.RESTORERS, option="model")

    @classmethod
    def fingerprint_inputs(cls, model: str, **other: Any) -> str:
        """Changes with the files of the model and of its usual detector and parser."""
        return files.fingerprint(model)

    @classmethod
    def execute(cls, image: Tensor, model: str, visibility: float, faces: str, face_numbers: str = "0") -> Any:
        chosen = inputs.choice_of(faces, "area", False, 0, 0, face_numbers if faces == NUMBERED else "")
        settings = inputs.options_of({"visibility": visibility})
        done = restore_images(model_by_name(model), image, settings, chosen, node=cls).args
        return io.NodeOutput(done[0], done[1], done[-1])
