"""The one road for a face: detect, align, run, mask, paste."""

from .restorer import CropMasks, Detection, FaceCrops, FaceRestorer, Model, RestoredFace, RestoredPicture

__all__ = ["CropMasks", "Detection", "FaceCrops", "FaceRestorer", "Model", "RestoredFace", "RestoredPicture"]
