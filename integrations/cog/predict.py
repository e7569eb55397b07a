"""GPEN as a Cog predictor: one photograph in, the same with its faces restored out."""

import tempfile
from pathlib import Path as Folder

from cog import BasePredictor, Input, Path

from gpen_core import Blending, FaceRestorer, RestoreOptions, Selection, load_detector, load_model
from gpen_core.images.writing import FORMATS
from gpen_core.restore.provenance import provenance_of


class Predictor(BasePredictor):  # type: ignore[misc]
    """Restores photographs with the model that ships."""

    def setup(self) -> None:
        """Loads the networks once."""
        self.model = load_model()
        self.restorer = FaceRestorer(self.model, load_detector())

    def predict(
        self,
        image: Path = Input(description="A photograph."),
        strength: float = Input(default=1.0, ge=0.0, le=1.0, description="How much of the restored face is seen."),
        threshold: float = Input(default=0.9, ge=0.0, le=1.0, description="Least confidence of a face."),
        only_damaged: bool = Input(default=False, description="Leave faces alone that are good already."),
    ) -> Path:
        """The photograph with its faces restored, in its own format where that can be written."""
        options = RestoreOptions(
            selection=Selection(threshold=threshold),
            blending=Blending(strength=strength, only_damaged=only_damaged),
        )
        result = self.restorer.restore(Folder(image), options)
        suffix = Folder(image).suffix.lower()
        target = Folder(tempfile.mkdtemp(), f"restored{suffix if suffix in FORMATS else '.png'}")
        result.save(target, provenance=provenance_of(self.model, strength))
        return Path(target)
