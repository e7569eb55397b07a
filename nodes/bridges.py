"""Bridges to the Impact Pack: SEGS out, and the detector as a BBOX_DETECTOR. SEGS come in at Detect Faces."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..gpen_core.errors import InputError
from ..gpen_core.faces.types import Detection
from ..gpen_core.options import Selection
from . import pictures
from .adapter import Progress, io, schema
from .find import find_faces
from .model import FaceModel
from .regions import cropped, ellipse_mask, uncropped
from .segs import Segments, box_mask, segs_of
from .wires import BBoxDetector, Faces, GPENFaces, GPENModel, Segs

ELLIPSE, BOX = "ellipse", "box"


class FacesToSegs(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> Any:
        return schema(
            node_id="GPEN_FacesToSEGS",
            display_name="Faces to SEGS (GPEN)",
            category="GPEN/bridges",
            description="Hands the faces of one picture on as SEGS, for the detailers of the Impact Pack.",
            search_aliases=["impact pack", "face segs", "detailer"],
            inputs=[
                GPENModel.Input("gpen_model", tooltip="From Load GPEN Model: it says how a face is posed in a crop."),
                io.Image.Input("image", tooltip="The picture in which the faces were detected. One, as SEGS are."),
                GPENFaces.Input("faces", tooltip="Faces from Detect Faces."),
                io.Float.Input(
                    "crop_factor",
                    default=2.0,
                    min=1.0,
                    max=10.0,
                    step=0.1,
                    tooltip="Side of the crop region over side of the face's box.",
                ),
                io.Combo.Input(
                    "mask_kind",
                    options=[ELLIPSE, BOX],
                    default=ELLIPSE,
                    tooltip="Shape of each region's mask: an ellipse that turns with the face, or its box.",
                ),
            ],
            outputs=[Segs.Output("segs", tooltip="One region a face.")],
        )

    @classmethod
    def execute(cls, gpen_model: FaceModel, image: Tensor, faces: Faces, crop_factor: float, mask_kind: str) -> Any:
        images = pictures.check_images(image)
        faces.check(images)
        if len(images) != 1:
            raise InputError(f"SEGS are of one picture, the image holds {len(images)}; give them one at a time")
        found = list(faces.frames[0])
        if mask_kind == BOX or not found:
            masks = [box_mask(face, *faces.picture_size) for face in found]
        else:
            crops = cropped(gpen_model, pictures.frame_at(images, 0), found)
            size = crops.crops.shape[-1]
            masks = [uncropped(ellipse_mask(size), affine, size, faces.picture_size) for affine in crops.affines]
        return io.NodeOutput(segs_of(pictures.picture_at(images, 0), found, masks, crop_factor=crop_factor))


class FaceDetectorProvider:
    """A BBOX_DETECTOR, as the Impact Pack calls one."""

    def __init__(self, model: FaceModel) -> None:
        self._model = model

    def detect(
        self,
        image: Tensor,
        threshold: float,
        dilation: int,
        crop_factor: float,
        drop_size: int = 1,
        detailer_hook: Any = None,
    ) -> Segments:
        """SEGS of the faces in one picture (1, H, W, 3).

        dilation: pixels by which each mask grows. drop_size: smaller faces are left out. detailer_hook: may change
        the result (`post_detection`).
        """
        images = pictures.check_images(image)
        found, masks = self._found(images, threshold, dilation, drop_size)
        segs = segs_of(pictures.picture_at(images, 0), found, masks, crop_factor=crop_factor)
        after = getattr(detailer_hook, "post_detection", None)
        return segs if after is None else after(segs)

    def detect_combined(self, image: Tensor, threshold: float, dilation: int) -> Tensor:
        """(H, W): one mask of all faces, each grown by `dilation` pixels."""
        images = pictures.check_images(image)
        _, masks = self._found(images, threshold, dilation, 1)
        return torch.stack([torch.zeros(images.shape[1:3]), *masks]).amax(0)

    def _found(
        self, images: Tensor, threshold: float, dilation: int, drop_size: int
    ) -> tuple[list[Detection], list[Tensor]]:
        """The faces of the first picture, and for each a mask (H, W) of its grown box."""
        height, width = (int(n) for n in images.shape[1:3])
        self._model.prepare(network=False, detector=True, frame_pixels=height * width)
        selection = Selection(threshold=threshold, min_size=float(drop_size))
        (found,) = find_faces(self._model, images[:1], selection, Progress(1))
        return found, [box_mask(face, height, width, dilation=dilation) for face in found]

    def setAux(self, label: Any) -> None:
        """Nothing: other detectors look for a label, this one finds faces only."""


class BBoxDetectorNode(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> Any:
        return schema(
            node_id="GPEN_BBoxDetector",
            display_name="Face BBOX Detector (GPEN)",
            category="GPEN/bridges",
            description="The face detector of a GPEN model, for nodes of the Impact Pack that take a BBOX_DETECTOR.",
            search_aliases=["bbox detector provider", "face detailer", "ultralytics detector"],
            inputs=[GPENModel.Input("gpen_model", tooltip="From Load GPEN Model: its detector is handed on.")],
            outputs=[BBoxDetector.Output("bbox_detector", tooltip="The detector.")],
        )

    @classmethod
    def execute(cls, gpen_model: FaceModel) -> Any:
        return io.NodeOutput(FaceDetectorProvider(gpen_model))
