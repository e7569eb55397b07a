"""How visible the edge of a restored face is, on portraits, with several ways of putting it back.

    python docs/scripts/measure_seams.py PICTURE… --detector WEIGHTS [--save FOLDER]

The network is a stand-in that sharpens, warms and brightens its crop, as restorers do in excess; the parser is an
ellipse in floats. Printed per way: the median over the pictures of `gpen_core.measures.seam.seam` (gradient across the
mask's edge over the gradient just inside it).
"""

from __future__ import annotations

import argparse
import math
import statistics
import types
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gpen_core.config import ModelCard
from gpen_core.faces.levels import smoothed
from gpen_core.faces.mask import ellipse_mask
from gpen_core.images import read_picture
from gpen_core.images.planes import planes_of
from gpen_core.measures.seam import seam
from gpen_core.options import Blending, RestoreOptions
from gpen_core.restore import FaceRestorer
from gpen_core.weights import load_detector

SIZE = 512
WAYS = {
    "reference()": RestoreOptions.reference(),
    "defaults": RestoreOptions(),
    "colour matched": RestoreOptions(blending=Blending(colour_match="surroundings")),
    "matched, laplacian": RestoreOptions(blending=Blending(colour_match="surroundings", blend="laplacian")),
}


class Overdoing:
    """Sharpens, warms and brightens a face."""

    config = types.SimpleNamespace(in_size=SIZE, out_size=SIZE)
    card = ModelCard(name="overdoing", value_range=(0.0, 1.0))

    def __call__(self, crops: Tensor) -> Tensor:
        """(N, 3, 512, 512) of as many crops."""
        warmer = torch.tensor([0.06, 0.02, -0.04])[:, None, None]
        return (crops + (crops - smoothed(smoothed(crops))) + warmer).clamp(0, 1)


def main() -> None:
    """Prints one line per way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--detector", required=True)
    parser.add_argument("--save", type=Path)
    arguments = parser.parse_args()
    ellipse = (ellipse_mask(SIZE) > 0.5).float()
    detector = load_detector(arguments.detector, device="cpu")
    restorer = FaceRestorer(Overdoing(), detector, parser=lambda crops: ellipse.expand(len(crops), -1, -1))
    found = {path: restorer.detect(path) for path in arguments.pictures}
    for name, options in WAYS.items():
        figures: list[float] = []
        before: list[float] = []
        for path, faces in found.items():
            result = restorer.restore(path, options, detections=faces)
            for face in result.faces:
                x1, y1, x2, y2 = face.rectangle
                for pixels, values in ((result.decoded.pixels, figures), (read_picture(path).pixels, before)):
                    part = planes_of(np.ascontiguousarray(pixels[y1:y2, x1:x2])).float()
                    values.append(seam(part / result.decoded.full_scale, face.mask))
            if arguments.save is not None:
                arguments.save.mkdir(parents=True, exist_ok=True)
                Image.fromarray(result.decoded.pixels).save(arguments.save / f"{path.stem} {name}.png")
        known = [pair for pair in zip(figures, before, strict=True) if all(map(math.isfinite, pair))]
        after, untouched = (statistics.median(pair[i] for pair in known) for i in (0, 1))
        print(f"{name:20s} seam {after:.3f}, untouched {untouched:.3f} (medians of {len(known)} faces)")


if __name__ == "__main__":
    main()
