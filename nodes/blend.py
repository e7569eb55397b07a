"""Blend Faces: one picture mixed into another by strength, mask and region."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..gpen_core.errors import InputError
from . import pictures
from .adapter import Progress, advanced, io, schema
from .model import FaceModel
from .regions import parsed_crops, region_planes, uncropped
from .wires import Faces, GPENFaces, GPENModel

REGIONS = ("eyes", "mouth", "skin", "hair")


def _region_input(name: str) -> Any:
    return advanced(
        io.Float.Input(
            name,
            default=1.0,
            min=0.0,
            max=1.0,
            step=0.05,
            tooltip=f"Strength within the {name} of the faces, times strength. Below 1 it needs faces and gpen_model.",
        )
    )


class BlendFaces(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> Any:
        return schema(
            node_id="GPEN_BlendFaces",
            display_name="Blend Faces (GPEN)",
            category="GPEN/steps",
            description="Mixes a restored picture into the original: in all, by a mask, or by region of the face.",
            search_aliases=["face strength", "mix faces", "blend by mask", "face opacity"],
            inputs=[
                io.Image.Input("image_before", tooltip="The original pictures."),
                io.Image.Input("image_after", tooltip="The restored pictures, of the same size."),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    display_mode=io.NumberDisplay.slider,
                    tooltip="How much of image_after is seen: 1 all of it, 0 none.",
                ),
                *(_region_input(name) for name in REGIONS),
                io.Mask.Input("mask", optional=True, tooltip="Where image_after is seen, as far as it is white."),
                GPENFaces.Input("faces", optional=True, tooltip="Faces from Detect Faces, for strength by region."),
                GPENModel.Input("gpen_model", optional=True, tooltip="Its parser tells the regions apart."),
            ],
            outputs=[io.Image.Output("image", tooltip="The mixture.")],
        )

    @classmethod
    def execute(
        cls,
        image_before: Tensor,
        image_after: Tensor,
        strength: float,
        eyes: float,
        mouth: float,
        skin: float,
        hair: float,
        mask: Tensor | None = None,
        faces: Faces | None = None,
        gpen_model: FaceModel | None = None,
    ) -> Any:
        before = pictures.check_images(image_before, name="image_before")
        after = pictures.check_images(image_after, name="image_after")
        if before.shape[1:3] != after.shape[1:3] or len(after) not in (1, len(before)):
            raise InputError(
                f"image_before holds {len(before)} of {before.shape[2]}×{before.shape[1]} and image_after {len(after)} "
                f"of {after.shape[2]}×{after.shape[1]}; they must be alike"
            )
        count, height, width = (int(n) for n in before.shape[:3])
        mask = None if mask is None else pictures.mask_given(mask, height, width)
        strengths = dict(zip(REGIONS, (eyes, mouth, skin, hair), strict=True))
        lowered = {name: value for name, value in strengths.items() if value < 1}
        if lowered and (faces is None or gpen_model is None):
            raise InputError(
                f"strength by region ({', '.join(lowered)}) needs faces from Detect Faces and gpen_model; connect both"
            )
        if lowered and faces is not None and gpen_model is not None:
            faces.check(before)
            gpen_model.parser(needed=True)
            gpen_model.prepare(network=False, parser=True)
        out = pictures.Results(count, height, width, alpha=pictures.alpha_of(before))
        progress = Progress(count)
        for index in range(count):
            old = torch.from_numpy(pictures.frame_at(before, index))
            new = torch.from_numpy(pictures.frame_at(after, min(index, len(after) - 1)))
            share = torch.full((height, width), strength)
            if mask is not None:
                share *= pictures.mask_at(mask, index, height, width)
            if lowered and faces is not None and gpen_model is not None and faces.frames[index]:
                crops, parsed = parsed_crops(gpen_model, old.numpy(), faces.frames[index])
                planes = region_planes(parsed, lowered)
                for affine, plane in zip(crops.affines, planes, strict=True):
                    share *= 1 - uncropped(1 - plane, affine, crops.crops.shape[-1], (height, width))
            out.put(index, torch.lerp(old, new, share[..., None]))
            progress.step()
        return io.NodeOutput(out.images)
