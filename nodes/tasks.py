"""Colourise Face, Inpaint Face, Segmentation to Face: the models of the other tasks."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..gpen_core.errors import InputError, MissedError
from ..gpen_core.tasks import colorize, colorize_face, inpaint, inpaint_face, synthesize_face, white_strokes
from . import adapter, inputs, pictures
from .adapter import Progress, advanced, io, log, schema
from .find import Given, find_faces
from .model import FaceModel
from .restoring import prepared_restorer
from .tally import Tally
from .wires import GPENModel

PHOTOGRAPH, ALIGNED = "photograph", "aligned face"


def _kind_input() -> Any:
    return io.Combo.Input(
        "picture_kind",
        options=[PHOTOGRAPH, ALIGNED],
        default=PHOTOGRAPH,
        tooltip="photograph: faces are found and cropped first. aligned face: every picture is one straightened, "
        "square face already.",
    )


class ColouriseFace(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> Any:
        return schema(
            node_id="GPEN_ColouriseFace",
            display_name="Colourise Face (GPEN)",
            category="GPEN/tasks",
            description="Colours the faces of a grey picture with a GPEN colourisation model. The brightness of every "
            "pixel stays as it was.",
            search_aliases=["colorize", "colorise", "colourize", "old photo colour", "black and white"],
            inputs=[
                GPENModel.Input("gpen_model", tooltip="A colourisation model, for example GPEN-Colorization-1024."),
                io.Image.Input("image", tooltip="Grey pictures; colours that are there are ignored."),
                _kind_input(),
                inputs.option_input("strength"),
                inputs.option_input("kind"),
                *inputs.detection_inputs(),
                *inputs.given_faces_inputs(),
            ],
            outputs=[
                io.Image.Output("image", tooltip="The pictures with coloured faces."),
                io.Mask.Output("mask", tooltip="How much of each pixel was coloured."),
                io.Int.Output("face_count", tooltip="How many faces were coloured."),
            ],
            hidden=inputs.HIDDEN,
        )

    @classmethod
    def execute(
        cls,
        gpen_model: FaceModel,
        image: Tensor,
        picture_kind: str,
        bounding_boxes: Any = None,
        face_landmarks: Any = None,
        segs: Any = None,
        **options: Any,
    ) -> Any:
        gpen_model.require("colorization", node="Colourise Face")
        images = pictures.check_images(image)
        count, height, width = (int(n) for n in images.shape[:3])
        out, progress = pictures.Results(count, height, width, alpha=pictures.alpha_of(images)), Progress(2 * count)
        network = gpen_model.asked("network", pictures=count)
        settings = inputs.options_of(options, keep_crops=False)
        if picture_kind == ALIGNED:
            _check_aligned(width, height)
            gpen_model.prepare()
            for index in range(count):
                frame = pictures.frame_at(images, index)
                coloured = torch.from_numpy(colorize_face(frame, network))
                out.put(
                    index,
                    torch.lerp(torch.from_numpy(frame), coloured, settings.blending.strength),
                    torch.ones(height, width),
                )
                progress.step(2, picture=coloured)
            return io.NodeOutput(out.images, out.masks, count)
        given = Given(None, face_landmarks, bounding_boxes, segs)
        restorer = prepared_restorer(gpen_model, settings.masking, detector=given.detector, images=images)
        found = list(find_faces(gpen_model, images, settings.selection, progress, given))
        for index, faces in enumerate(found):
            frame = pictures.frame_at(images, index)
            result = colorize(frame, network, parser=restorer.parser, options=settings, detections=faces)
            out.put(index, result.picture)
            out.cover(index, result.faces)
            progress.step(picture=torch.from_numpy(result.picture))
        coloured_faces = sum(len(faces) for faces in found)
        adapter.say(cls, Tally(found=coloured_faces, restored=coloured_faces).words())
        return io.NodeOutput(out.images, out.masks, coloured_faces)


class InpaintFace(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> Any:
        return schema(
            node_id="GPEN_InpaintFace",
            display_name="Inpaint Face (GPEN)",
            category="GPEN/tasks",
            description="Fills the masked part of faces with a GPEN inpainting model. Everything outside the mask "
            "stays as it was, to the bit.",
            search_aliases=["face inpainting", "remove scratches", "fill face", "repair photo"],
            inputs=[
                GPENModel.Input("gpen_model", tooltip="An inpainting model, for example GPEN-Inpainting-1024."),
                io.Image.Input("image", tooltip="Pictures with a damaged face."),
                _kind_input(),
                *inputs.detection_inputs(),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="White is what to fill. Not connected: everything that is painted white in the picture.",
                ),
                *inputs.given_faces_inputs(),
            ],
            outputs=[
                io.Image.Output("image", tooltip="The pictures with the masked parts filled."),
                io.Mask.Output("mask", tooltip="What was to be filled."),
                io.Int.Output("face_count", tooltip="How many faces there are in the pictures."),
            ],
            hidden=inputs.HIDDEN,
        )

    @classmethod
    def execute(
        cls,
        gpen_model: FaceModel,
        image: Tensor,
        picture_kind: str,
        mask: Tensor | None = None,
        bounding_boxes: Any = None,
        face_landmarks: Any = None,
        segs: Any = None,
        **options: Any,
    ) -> Any:
        gpen_model.require("inpainting", node="Inpaint Face")
        images = pictures.check_images(image)
        count, height, width = (int(n) for n in images.shape[:3])
        wanted = _wanted(images, mask)
        settings = inputs.options_of(options, keep_crops=False)
        out, progress = pictures.Results(count, height, width, alpha=pictures.alpha_of(images)), Progress(2 * count)
        network = gpen_model.asked("network", pictures=count)
        if picture_kind == ALIGNED:
            _check_aligned(width, height)
            gpen_model.prepare()
            found: list[Any] = [[None]] * count
        else:
            given = Given(None, face_landmarks, bounding_boxes, segs)
            gpen_model.prepare(detector=given.detector, frame_pixels=height * width)
            found = list(find_faces(gpen_model, images, settings.selection, progress, given))
        done, missed = 0, None
        for index, faces in enumerate(found):
            frame, fill = pictures.frame_at(images, index), wanted[index]
            if not faces or not bool(fill.any()):
                log.info("picture %d has %s: it stays as it is", index, "nothing to fill" if faces else "no face")
                filled = frame
            elif picture_kind == ALIGNED:
                filled = inpaint_face(frame, network, mask=fill)
            else:
                try:
                    filled = inpaint(frame, network, mask=fill, options=settings, detections=faces).picture
                except MissedError as error:
                    log.info("picture %d: %s", index, error)
                    filled, missed = frame, missed or error
            done += filled is not frame
            out.put(index, filled, fill)
            progress.step(picture=torch.from_numpy(filled))
        if missed and not done:
            raise missed
        faces_found = sum(len(faces) for faces in found)
        adapter.say(
            cls, f"filled in {done} of {count}" if done else "nothing to fill" if faces_found else "no face found"
        )
        return io.NodeOutput(out.images, out.masks, faces_found)


def _check_aligned(width: int, height: int) -> None:
    """Raises InputError where pictures of this size are no straightened faces."""
    if width != height:
        raise InputError(
            f"image is {width}×{height}, and an aligned face is square; choose {PHOTOGRAPH} as picture_kind, or crop it"
        )


def _wanted(images: Tensor, mask: Tensor | None) -> list[Tensor]:
    """For each picture (H, W), what is to be filled: the mask, else what is painted white."""
    count, height, width = (int(n) for n in images.shape[:3])
    mask = None if mask is None else pictures.mask_given(mask, height, width)
    if mask is None:
        return [torch.from_numpy(white_strokes(pictures.frame_at(images, index))) for index in range(count)]
    return [pictures.mask_at(mask, index, height, width) for index in range(count)]


class SegmentationToFace(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> Any:
        return schema(
            node_id="GPEN_SegmentationToFace",
            display_name="Segmentation to Face (GPEN)",
            category="GPEN/tasks",
            description="Makes a face from a map of its regions, painted in the 19 colours of CelebAMask-HQ.",
            search_aliases=["seg2face", "face from mask", "semantic face", "segmentation map"],
            inputs=[
                GPENModel.Input("gpen_model", tooltip="A segmentation model, for example GPEN-Seg2face-512."),
                io.Image.Input("map", tooltip="Square maps in the 19 colours; colours that JPEG has damaged are read."),
                advanced(
                    io.Int.Input(
                        "size",
                        default=0,
                        min=0,
                        max=4096,
                        tooltip="Side of the result in pixels; 0 takes the model's own size.",
                    )
                ),
            ],
            outputs=[io.Image.Output("image", tooltip="One face a map.")],
        )

    @classmethod
    def execute(cls, gpen_model: FaceModel, map: Tensor, size: int = 0) -> Any:
        gpen_model.require("segmentation", node="Segmentation to Face")
        maps = pictures.check_images(map, name="map")
        gpen_model.prepare()
        progress, faces = Progress(len(maps)), []
        for index in range(len(maps)):
            made = torch.from_numpy(
                synthesize_face(pictures.frame_at(maps, index), gpen_model.asked("network", pictures=len(maps)))
            )
            face = made.movedim(-1, 0).float() / 255
            faces.append(face if not size else pictures.resized(face[None], size)[0])
            progress.step(picture=made.float() / 255)
        return io.NodeOutput(pictures.images_out(faces))
