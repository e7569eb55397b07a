"""The one road for a face: detect, align, run, mask, paste; photographs, tasks, films and nodes all walk it."""

from ..faces.types import Detection, FaceCrops
from .masks import CropMasks
from .restorer import FaceRestorer
from .result import RestoredFace, RestoredPicture

__all__ = ["CropMasks", "Detection", "FaceCrops", "FaceRestorer", "RestoredFace", "RestoredPicture"]
