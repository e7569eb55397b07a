"""The command in this process, on a network small enough to make and a detector that knows where the face is."""

from pathlib import Path

import pytest
import torch

from gpen_core import GPEN, weights
from gpen_core.cli.main import main
from gpen_core.config import GPENConfig, ModelCard
from gpen_core.faces.types import Detection
from gpen_core.weights import checkpoint


def detect_bright(pictures: torch.Tensor) -> list[list[Detection]]:
    """A face in the middle of every picture that is bright somewhere, with another, less certain one in its corner."""
    found = []
    for picture in pictures:
        faces = []
        for left, top, side, score in ((20.0, 15.0, 30.0, 0.99), (2.0, 2.0, 12.0, 0.92)):
            points = ((0.35, 0.4), (0.65, 0.4), (0.5, 0.6), (0.38, 0.75), (0.62, 0.75))
            landmarks = [(left + side * x, top + side * y) for x, y in points]
            faces.append(Detection(box=(left, top, left + side, top + side), landmarks=landmarks, score=score))
        found.append(faces if picture.max() > 0.5 else [])
    return found


def gpen(*words: object) -> int:
    """The exit status."""
    return main([str(word) for word in words])


def model_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of a small random network; the detector is replaced, because none is part of this checkout's tests."""
    monkeypatch.setattr(weights, "load_detector", lambda source=None, device="auto": detect_bright)
    network = GPEN(GPENConfig.standard(32, narrow=0.05), generator=torch.Generator().manual_seed(1))
    path = folder / "small.safetensors"
    checkpoint.write(path, network.state_dict(), network.config, ModelCard(name="small"))
    return path
