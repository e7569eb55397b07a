"""Face restorers of any make, called alike: ours, those that spandrel knows, and ONNX files."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from torch import Tensor

from ..images.resize import resize
from ..restore import FaceRestorer
from ..weights.load import load_model

#: Aligned faces (B, 3, S, S) in [0, 1] → restored ones (B, 3, T, T) in [0, 1].
Restorer = Callable[[Tensor], Tensor]


def load_restorer(source: str, *, device: str = "auto", trust_pickle: bool = False) -> Restorer:
    """A restorer of aligned faces: whatever `load_model` reads, given its faces in its own size and range.

    Raises MissingPackageError where a reader is missing, WeightsError for a file that is no face restorer.
    """
    with warnings.catch_warnings():
        # Aligned faces are posed already.
        warnings.filterwarnings("ignore", message=".*does not say how faces are posed")
        model = load_model(source, device=device, trust_pickle=trust_pickle)
    restorer, size = FaceRestorer(model), model.config.in_size
    return lambda faces: restorer.run(resize(faces, size))
