"""Pictures from files, for the scripts that train small networks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np


def read_rgb(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB. Raises SystemExit for a file that OpenCV cannot read."""
    picture = cv2.imread(str(path))
    if picture is None:
        raise SystemExit(f"{path} cannot be read")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
