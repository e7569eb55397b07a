"""Preview Faces: boxes and landmarks drawn on the picture."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..gpen_core.batch.preview import draw_faces
from ..gpen_core.images import Picture
from . import pictures
from .adapter import io, schema, ui
from .wires import Faces, GPENFaces


class PreviewFaces(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> Any:
        return schema(
            node_id="GPEN_PreviewFaces",
            display_name="Preview Faces",
            category="GPEN",
            description="Draws each face's box, number, score and five landmarks on the picture, and shows it.",
            search_aliases=["draw bbox", "show faces", "landmarks preview", "face boxes"],
            inputs=[
                io.Image.Input("image", tooltip="The pictures in which the faces were detected."),
                GPENFaces.Input("faces", tooltip="Faces from Detect Faces."),
            ],
            outputs=[io.Image.Output("preview", tooltip="The pictures with the drawing.")],
            is_output_node=True,
        )

    @classmethod
    def execute(cls, image: Tensor, faces: Faces) -> Any:
        images = pictures.check_images(image)
        faces.check(images)
        drawn = pictures.images_out([_drawn(images, index, found) for index, found in enumerate(faces.frames)])
        return io.NodeOutput(drawn, ui=ui.PreviewImage(drawn, cls=cls))


def _drawn(images: Tensor, index: int, found: Any) -> Tensor:
    picture = Picture(pixels=pictures.picture_at(images, index).movedim(0, -1).numpy())
    marked = torch.from_numpy(draw_faces(picture, found).pixels.copy())
    return marked.movedim(-1, 0).float() / 255
