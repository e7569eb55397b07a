"""Whether restored faces are nearer to whom they were than their damaged inputs are, to a network that knows faces.

    pip install dlib-bin face-recognition-models
    python docs/scripts/measure_identity.py ORIGINALS DAMAGED [DAMAGED ...] [--model NAME]

ORIGINALS, DAMAGED: folders of aligned faces that pair by name. Prints the mean cosine of dlib's embeddings to the
original, of what the model gives for each folder and of the damaged faces themselves, and in how many it is higher.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from measure_gallery import Judge, read_face

from gpen_core import FaceRestorer, load_model
from gpen_core.contracts import input_size_for
from gpen_core.images.planes import resize

_SIDE = 256  # of the faces that the judge knows the place of


def main() -> None:
    """Restores, judges, prints a row for each folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("originals", type=Path)
    parser.add_argument("damaged", type=Path, nargs="+")
    parser.add_argument("--model", help="default: the open models")
    arguments = parser.parse_args()
    restorer, judge = FaceRestorer(load_model(arguments.model, precision="fp32")), Judge()
    for folder in arguments.damaged:
        likenesses = []
        for path in sorted(folder.iterdir()):
            original = read_face(next(arguments.originals.glob(f"{path.stem}.*")))
            given = read_face(path)
            result = restorer.run(resize(given, input_size_for(restorer.model, given.shape[-1])))
            shown = [resize(face, _SIDE) for face in (result, given)]
            # Embeddings have length 1, so that their distance tells the cosine.
            likenesses.append([1 - distance**2 / 2 for distance in judge.distances(shown, resize(original, _SIDE))])
        found = np.array(likenesses)
        higher = int((found[:, 0] > found[:, 1]).sum())
        restored, damaged = found.mean(0)
        sys.stdout.write(
            f"{folder.name}: restored {restored:.4f}, damaged {damaged:.4f}; higher in {higher} of {len(found)}\n"
        )


if __name__ == "__main__":
    main()
