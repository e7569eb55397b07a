"""Face Mask, and what it shares with Blend Faces: the regions of faces as planes over the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..gpen_core.contracts import parser_size
from ..gpen_core.errors import InputError
from ..gpen_core.faces.geometry import invert_affine, moved_origin, rectangle_of, resize_affine
from ..gpen_core.faces.mask import box_mask, ellipse_mask, region_strength, soften
from ..gpen_core.faces.types import Detection, FaceCrops
from ..gpen_core.faces.warp import warp
from ..gpen_core.images.planes import resize
from ..gpen_core.restore import FaceRestorer
from ..gpen_core.restore.run import BatchSizer, run_network
from . import pictures
from .adapter import Progress, advanced, io, schema
from .model import FaceModel
from .wires import Faces, GPENFaces, GPENModel

#: CelebAMask-HQ's labels by what the node calls them.
PARTS: Mapping[str, tuple[int, ...]] = {
    "skin": (1,),
    "nose": (2,),
    "eyes": (4, 5),
    "brows": (6, 7),
    "glasses": (3,),
    "ears": (8, 9, 15),
    "mouth": (10, 11, 12),
    "hair": (13,),
    "hat": (14,),
    "neck": (16, 17),
    "cloth": (18,),
}
_USUAL = ("skin", "nose", "eyes", "brows", "glasses", "ears", "mouth")
PARSED, ELLIPSE, BOX = "parser", "ellipse", "box"


class FaceMask(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> Any:
        return schema(
            node_id="GPEN_FaceMask",
            display_name="Face Mask (GPEN)",
            category="GPEN/steps",
            description="A mask of the faces, or of chosen regions of them, over the whole picture.",
            search_aliases=["face parsing", "face segmentation", "mask hair", "mask eyes", "skin mask"],
            inputs=[
                GPENModel.Input("gpen_model", tooltip="From Load GPEN Model: its parser tells the regions apart."),
                io.Image.Input("image", tooltip="The pictures in which the faces were detected."),
                GPENFaces.Input("faces", tooltip="Faces from Detect Faces."),
                io.Combo.Input(
                    "mask_kind",
                    options=[PARSED, ELLIPSE, BOX],
                    default=PARSED,
                    tooltip="parser: the regions chosen below, by a parsing network. ellipse, box: a shape over each "
                    "face; the regions do not matter.",
                ),
                *(
                    io.Boolean.Input(name, default=name in _USUAL, tooltip=f"Whether the mask covers: {name}.")
                    for name in PARTS
                ),
                advanced(
                    io.Float.Input(
                        "feather",
                        default=0.01,
                        min=0.0,
                        max=0.2,
                        step=0.005,
                        tooltip="Softness of the edge, as a fraction of the side of the face's crop.",
                    )
                ),
            ],
            outputs=[io.Mask.Output("mask", tooltip="White where the chosen regions are.")],
        )

    @classmethod
    def execute(
        cls, gpen_model: FaceModel, image: Tensor, faces: Faces, mask_kind: str, feather: float, **parts: bool
    ) -> Any:
        images = pictures.check_images(image)
        faces.check(images)
        if mask_kind == PARSED and faces.count:
            gpen_model.parser(needed=True)
            gpen_model.prepare(network=False, parser=True)
        chosen = [label for name, wanted in parts.items() if wanted for label in PARTS[name]]
        height, width = faces.picture_size
        progress, masks = Progress(len(images)), []
        for index, found in enumerate(faces.frames):
            frame, mask = pictures.frame_at(images, index), torch.zeros(height, width)
            if found and mask_kind == PARSED:
                crops, parsed = parsed_crops(gpen_model, frame, found)
                planes = sum((parsed == label).float() for label in chosen) if chosen else torch.zeros(parsed.shape)
            elif found:
                crops = cropped(gpen_model, frame, found)
                shape = (ellipse_mask if mask_kind == ELLIPSE else box_mask)(crops.crops.shape[-1])
                planes = shape.expand(len(found), -1, -1)
            if found:
                for affine, plane in zip(crops.affines, soften(planes, margin=0.0, sigma=feather), strict=True):
                    mask = torch.maximum(mask, uncropped(plane, affine, crops.crops.shape[-1], (height, width)))
            masks.append(mask)
            progress.step()
        return io.NodeOutput(pictures.masks_out(masks))


def cropped(model: FaceModel, frame: NDArray[np.float32], found: Sequence[Detection]) -> FaceCrops:
    """The straightened crops of these faces."""
    return FaceRestorer(model.asked("network")).align(frame, found)


def parsed_crops(model: FaceModel, frame: NDArray[np.float32], found: Sequence[Detection]) -> tuple[FaceCrops, Tensor]:
    """The straightened crops of these faces and their labels (N, S, S), 0 to 18.

    Raises InputError where the parser gives no labels. The parser must have been prepared.
    """
    model.parser(needed=True)
    crops, parser = cropped(model, frame, found), model.asked("parser")
    parsed = run_network(parser, resize(crops.crops, parser_size(parser), antialias=False), BatchSizer()).cpu()
    if parsed.is_floating_point():
        raise InputError("regions need a parser that tells them apart; choose parsenet in Load GPEN Model")
    return crops, parsed


def region_planes(parsed: Tensor, strengths: Mapping[str, float]) -> Tensor:
    """(N, S, S): the strength of each pixel's region, 1 elsewhere, with soft edges."""
    return soften(region_strength(parsed, strengths), margin=0.0, sigma=0.01)


def uncropped(plane: Tensor, affine: Tensor, crop_size: int, picture_size: tuple[int, int]) -> Tensor:
    """(H, W): a plane (M, M) over a crop as it lies over the picture, zero beyond.

    affine: (2, 3), picture pixels → pixels of a crop of `crop_size` px.
    """
    whole, size = torch.zeros(picture_size), plane.shape[-1]
    to_plane = resize_affine(affine, crop_size, size)
    x1, y1, x2, y2 = rectangle_of(invert_affine(to_plane), (0, 0, size, size), picture_size)
    if x1 < x2 and y1 < y2:
        whole[y1:y2, x1:x2] = warp(plane[None].float(), moved_origin(to_plane, x1, y1), (y2 - y1, x2 - x1))[0]
    return whole
