"""The nodes. Imported by the pack's entry point only."""

from __future__ import annotations

from .adapter import ComfyExtension, io
from .blend import BlendFaces
from .bridges import BBoxDetectorNode, FacesToSegs
from .load import LoadModel
from .preview import PreviewFaces
from .regions import FaceMask
from .restore import RestoreFaces
from .steps import CropFaces, DetectFaces, PasteFaces, RestoreCrops
from .tasks import ColouriseFace, InpaintFace, SegmentationToFace

NODES: tuple[type[io.ComfyNode], ...] = (
    LoadModel,
    RestoreFaces,
    DetectFaces,
    CropFaces,
    RestoreCrops,
    PasteFaces,
    BlendFaces,
    FaceMask,
    ColouriseFace,
    InpaintFace,
    SegmentationToFace,
    PreviewFaces,
    FacesToSegs,
    BBoxDetectorNode,
)


class GPENExtension(ComfyExtension):
    """What ComfyUI asks for the pack's nodes."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Every node of the pack."""
        return list(NODES)
