"""The wires of these nodes: ComfyUI's own types, those that other packs know, and two of the pack's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from ..gpen_core.errors import FaceError, InputError
from ..gpen_core.faces.types import Detection, FaceCrops
from .adapter import io

GPENModel = io.Custom("GPEN_MODEL")
GPENFaces = io.Custom("GPEN_FACES")
BoundingBoxes = io.Custom("BOUNDING_BOX")
FaceLandmarks = io.Custom("FACE_LANDMARKS")
Segs = io.Custom("SEGS")
BBoxDetector = io.Custom("BBOX_DETECTOR")
UpscaleModel = io.Custom("UPSCALE_MODEL")


@dataclass(frozen=True, kw_only=True, eq=False)
class Faces:
    """GPEN_FACES: where the faces of a batch of pictures lie, and, once they are cropped, how they came out of them.

    picture_size: (height, width) of every picture. frames: the faces of each picture.
    crops: of each picture, None before Crop Faces.
    """

    picture_size: tuple[int, int]
    frames: Sequence[Sequence[Detection]]
    crops: Sequence[FaceCrops] | None = None

    @property
    def count(self) -> int:
        """Faces in all pictures together."""
        return sum(len(faces) for faces in self.frames)

    def check(self, images: Tensor) -> None:
        """Raises InputError unless these faces are of pictures like `images` (B, H, W, C)."""
        height, width = int(images.shape[1]), int(images.shape[2])
        if (height, width) != tuple(self.picture_size) or len(self.frames) != images.shape[0]:
            raise InputError(
                f"these faces are of {len(self.frames)} picture(s) of {self.picture_size[1]}×{self.picture_size[0]} "
                f"pixels, the image holds {images.shape[0]} of {width}×{height}; detect the faces in this image"
            )

    def crops_or_raise(self) -> Sequence[FaceCrops]:
        """The crops. Raises FaceError before Crop Faces."""
        if self.crops is None:
            raise FaceError("these faces have not been cropped; put Crop Faces between Detect Faces and this node")
        return self.crops
