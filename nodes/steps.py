"""Detect, Crop, Restore Crops, Paste: Restore Faces in steps, with room for other nodes between them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..gpen_core.contracts import input_size_for
from ..gpen_core.errors import InputError
from ..gpen_core.options import Blending, Masking, RestoreOptions, Selection
from ..gpen_core.report import counted
from ..gpen_core.restore import FaceRestorer
from ..gpen_core.restore.align import size_for
from . import inputs, pictures
from .adapter import Progress, io, schema
from .boxes import boxes_out
from .find import Given, find_faces
from .model import FaceModel
from .wires import BoundingBoxes, Faces, GPENFaces, GPENModel


class DetectFaces(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> Any:
        return schema(
            node_id="GPEN_DetectFaces",
            display_name="Detect Faces (GPEN)",
            category="GPEN/steps",
            description="Finds faces and their five landmarks, or takes them from boxes, face meshes or SEGS of "
            "another node.",
            search_aliases=["face detection", "retinaface", "face bbox", "find faces"],
            inputs=[
                GPENModel.Input("gpen_model", tooltip="From Load GPEN Model: its detector is used."),
                io.Image.Input("image", tooltip="One picture or a batch of frames."),
                *inputs.selection_inputs(),
                *inputs.detection_inputs(),
                *inputs.given_faces_inputs(),
                inputs.numbers_input(),
                *inputs.later_inputs(Selection),
            ],
            outputs=[
                GPENFaces.Output("faces", tooltip="Boxes, landmarks and scores of the faces of each picture."),
                BoundingBoxes.Output("bounding_boxes", tooltip="The same boxes, for other packs' nodes."),
                io.Int.Output("face_count", tooltip="How many faces there are in all pictures together."),
            ],
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
        bounding_boxes: Any = None,
        face_landmarks: Any = None,
        segs: Any = None,
        face_numbers: str = "",
        **options: Any,
    ) -> Any:
        images = pictures.check_images(image)
        height, width = int(images.shape[1]), int(images.shape[2])
        given = Given(None, face_landmarks, bounding_boxes, segs)
        if given.detector:
            gpen_model.prepare(network=False, detector=True, frame_pixels=height * width)
        selection = inputs.options_of(options).selection
        each = find_faces(gpen_model, images, selection, Progress(len(images)), given)
        chosen = inputs.choice_of(face_selection, sort_by, reverse_order, take_start, take_count, face_numbers)
        found = [chosen(faces) for faces in each]
        faces = Faces(picture_size=(height, width), frames=found)
        return io.NodeOutput(faces, boxes_out(found), faces.count)


class CropFaces(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> Any:
        return schema(
            node_id="GPEN_CropFaces",
            display_name="Crop Faces (GPEN)",
            category="GPEN/steps",
            description="Cuts out and straightens each face in the size and pose that the model wants.",
            search_aliases=["align faces", "face crop", "extract faces"],
            inputs=[
                GPENModel.Input("gpen_model", tooltip="From Load GPEN Model: it says size, pose and border of a crop."),
                io.Image.Input("image", tooltip="The pictures in which the faces were detected."),
                GPENFaces.Input("faces", tooltip="Faces from Detect Faces."),
                inputs.option_input("template"),
            ],
            outputs=[
                io.Image.Output(
                    "crops",
                    tooltip="One square picture a face, in the order of the faces. Without a face: "
                    "the first picture, resized.",
                ),
                GPENFaces.Output("faces", tooltip="The faces with what Paste Faces needs to put them back."),
            ],
        )

    @classmethod
    def execute(cls, gpen_model: FaceModel, image: Tensor, faces: Faces, **options: Any) -> Any:
        images = pictures.check_images(image)
        faces.check(images)
        settings = inputs.options_of(options)
        restorer = FaceRestorer(gpen_model.asked("network"))
        progress = Progress(len(images))
        crops = []
        # Crops go on as one batch: the largest face decides.
        sizes = [size_for(gpen_model.network, face.size) for found in faces.frames for face in found]
        size = max(sizes, default=gpen_model.config.in_size)
        for index, found in enumerate(faces.frames):
            crops.append(restorer.align(pictures.frame_at(images, index), found, settings, size=size))
            progress.step()
        if faces.count:
            cut = pictures.images_out([crop for frame in crops for crop in frame.crops])
        else:
            cut = pictures.images_out(list(pictures.resized(pictures.picture_at(images, 0)[None], size)))
        return io.NodeOutput(cut, Faces(picture_size=faces.picture_size, frames=faces.frames, crops=crops))


class RestoreCrops(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> Any:
        return schema(
            node_id="GPEN_RestoreCrops",
            display_name="Restore Crops (GPEN)",
            category="GPEN/steps",
            description="Runs straightened faces through the model: crops in, restored crops out.",
            search_aliases=["restore aligned faces", "gpen crop"],
            inputs=[
                GPENModel.Input("gpen_model", tooltip="From Load GPEN Model."),
                io.Image.Input("crops", tooltip="Straightened faces from Crop Faces; other sizes are resized."),
                inputs.option_input("strength"),
                inputs.option_input("sharpen"),
            ],
            outputs=[io.Image.Output("crops", tooltip="The restored faces, in the size that the model gives.")],
        )

    @classmethod
    def execute(cls, gpen_model: FaceModel, crops: Tensor, **options: Any) -> Any:
        gpen_model.require("restoration", node="Restore Crops")
        faces = pictures.crops_of(pictures.check_images(crops, name="crops"))
        gpen_model.prepare()
        restorer = FaceRestorer(gpen_model.asked("network", pictures=len(faces)))
        progress = Progress(len(faces))
        size, done = input_size_for(gpen_model.network, faces.shape[-1]), 0

        def count(finished: int, _: int) -> None:
            nonlocal done
            progress.step(finished - done)
            done = finished

        settings = inputs.options_of(options)
        restored = restorer.run(pictures.resized(faces, size), settings, progress=count).cpu()
        if (visibility := settings.blending.strength) < 1:
            restored = torch.lerp(pictures.resized(faces, restored.shape[-1]), restored, visibility)
        return io.NodeOutput(pictures.images_out(list(restored)))


class PasteFaces(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> Any:
        return schema(
            node_id="GPEN_PasteFaces",
            display_name="Paste Faces (GPEN)",
            category="GPEN/steps",
            description="Puts crops, restored or changed by any node, back where Crop Faces took them from.",
            search_aliases=["uncrop faces", "face paste", "composite faces"],
            inputs=[
                GPENModel.Input("gpen_model", tooltip="From Load GPEN Model: its parser draws the masks."),
                io.Image.Input("image", tooltip="The pictures that the faces were cropped from."),
                io.Image.Input("crops", tooltip="One square picture a face, in the order of Crop Faces, of any size."),
                GPENFaces.Input("faces", tooltip="Faces from Crop Faces."),
                inputs.option_input("strength"),
                *inputs.masking_inputs(),
                *inputs.later_inputs(Masking, Blending, without=("keep_detail",)),
                inputs.crops_detail_input(),
            ],
            outputs=[
                io.Image.Output("image", tooltip="The pictures with the crops put back."),
                io.Mask.Output("mask", tooltip="How much of each pixel comes from a crop."),
            ],
        )

    @classmethod
    def execute(
        cls,
        gpen_model: FaceModel,
        image: Tensor,
        crops: Tensor,
        faces: Faces,
        **options: Any,
    ) -> Any:
        images = pictures.check_images(image)
        faces.check(images)
        cut = faces.crops_or_raise()
        changed = _one_a_face(crops, faces)
        settings = inputs.options_of({"keep_detail": False, **options})
        restorer = _pasting(gpen_model, settings, some=faces.count > 0, count=len(images))
        height, width = faces.picture_size
        out = pictures.Results(len(images), height, width, alpha=pictures.alpha_of(images))
        progress, first = Progress(len(images)), 0
        for index, frame in enumerate(cut):
            before = pictures.frame_at(images, index)
            if not len(frame):
                out.put(index, before)
                continue
            part = pictures.crops_of(changed[first : first + len(frame)])
            first += len(frame)
            result = restorer.paste(before, frame, part, restorer.masks(frame, part, settings), settings)
            out.put(index, result.picture)
            out.cover(index, result.faces)
            progress.step(picture=torch.from_numpy(result.picture))
        return io.NodeOutput(out.images, out.masks)


def _one_a_face(crops: Tensor, faces: Faces) -> Tensor:
    """The crops (N, S, S, C). Raises InputError for other numbers than of the faces, or what is not square."""
    changed = pictures.check_images(crops, name="crops")
    if faces.count and len(changed) != faces.count:
        came = f"{counted(len(changed), 'crop')} came for {counted(faces.count, 'face')}"
        raise InputError(f"{came}; Paste Faces needs one crop a face")
    if changed.shape[1] != changed.shape[2]:
        raise InputError(f"crops must be square, they are {changed.shape[2]}×{changed.shape[1]}")
    return changed


def _pasting(model: FaceModel, settings: RestoreOptions, *, some: bool, count: int) -> FaceRestorer:
    """What pastes, with the networks that masks need on the compute device where there are some faces."""
    kind = settings.masking.kind
    parser = model.parser(needed=kind == "parser") if kind in ("auto", "parser") else None
    keeping = settings.masking.occlusion and some
    if some and (parser is not None or keeping):
        model.prepare(network=False, parser=parser is not None, occluder=keeping)
    return FaceRestorer(
        model.asked("network"),
        None,
        None if parser is None else model.asked("parser", pictures=count),
        occluder=model.asked("occluder", pictures=count) if keeping else None,
    )
