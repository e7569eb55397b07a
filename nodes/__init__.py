"""The nodes. Imported by the pack's entry point only."""

from __future__ import annotations

from . import replacements
from .adapter import ComfyExtension, io, offer_architecture, offer_replacements
from .blend import BlendFaces
from .bridges import BBoxDetectorNode, FacesToSegs
from .example import ExamplePhotograph
from .film import RestoreVideo
from .load import LoadModel
from .preview import PreviewFaces
from .regions import FaceMask
from .restore import RestoreFaces
from .simple import Restore
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
    Restore,
    RestoreVideo,
    ExamplePhotograph,
)
if hasattr(io, "DynamicCombo") and hasattr(io, "MultiType"):
    from .advanced import RestoreAdvanced

    NODES = (*NODES, RestoreAdvanced)


class GPENExtension(ComfyExtension):
    """What ComfyUI asks for the pack's nodes."""

    async def on_load(self) -> None:
        """Offers these nodes in the place of other packs' in graphs that are opened, and GPEN to the core's loader."""
        offer_architecture()
        await offer_replacements(replacements.REPLACEMENTS)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        """Every node of the pack."""
        return list(NODES)
