"""Fits the numbers of `gpen_core/faces/damage.py`: faces damaged in known ways, and how far they then are from what
they were.

python training/damage/fit.py FACES_TRAIN FACES_VAL [--count 160]

Prints the numbers, and on faces that were not fitted the rank correlation with the damage done.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from gpen_core.data.degradation import Degradation
from gpen_core.faces.damage import SIZE, features, quadratic
from gpen_core.images import read_picture
from gpen_core.images.planes import resize
from gpen_core.measures.metrics import ssim
from gpen_core.measures.perceptual import DetectorFeatures, feature_distance

#: Damage as photographs have it, and as GPEN's own program does it; "none" leaves a face as it is.
PRESETS = ("none", "photographs", "balanced", "gpen-released")
#: How much the weights are held back.
RIDGE = 1e-3
#: Damaged in so many ways, no two samples share a number.
_MOST = 100_000


def read_faces(folder: Path, count: int) -> list[Tensor]:
    """(3, 256, 256) each, evenly spread over the files of `folder`."""
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".png"))
    chosen = files[:: max(1, len(files) // count)][:count]
    planes = (torch.from_numpy(read_picture(path).pixels.copy()).permute(2, 0, 1)[None] / 255 for path in chosen)
    return [resize(face, SIZE)[0] for face in planes]


def damaged(faces: list[Tensor], seed: int) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """For each preset the features (N, 8) of the damaged faces, and (N,) how far they are from the clean ones: by what
    a detector sees in them, and by structure."""
    distance = feature_distance(DetectorFeatures())
    found = {}
    for number, preset in enumerate(PRESETS):
        rows = []
        for index, face in enumerate(faces):
            clean = worse = face[None]
            if preset != "none":
                worse, clean = Degradation(preset).pairs(clean, seed, [number * _MOST + index])
            rows.append((features(worse), distance(worse, clean), 1 - ssim(worse, clean)))
        seen, far, structure = (torch.cat(part).double() for part in zip(*rows, strict=True))
        found[preset] = seen, far, structure
    return found


def ranks(values: Tensor) -> Tensor:
    """Each value's place among all, 0 to 1; equal values share theirs."""
    order = values.sort().values
    low, high = torch.searchsorted(order, values), torch.searchsorted(order, values, right=True)
    return (low + high - 1).double() / (2 * (len(values) - 1))


def correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's."""
    return float(torch.corrcoef(torch.stack([ranks(a), ranks(b)]))[0, 1])


def fit(seen: Tensor, far: Tensor, structure: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and spread of the features, and the weights of the polynomial of what they leave."""
    mean, spread = seen.mean(0), seen.std(0)
    terms = quadratic((seen - mean) / spread)
    wanted = (ranks(far) + ranks(structure)) / 2
    held = RIDGE * len(terms) * torch.eye(terms.shape[1]).double()
    return mean, spread, torch.linalg.solve(terms.T @ terms + held, terms.T @ wanted)


def main() -> None:
    """Fits, prints, judges."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("val", type=Path)
    parser.add_argument("--count", type=int, default=160)
    arguments = parser.parse_args()
    fitted = damaged(read_faces(arguments.train, arguments.count), seed=1)
    mean, spread, weights = fit(*(torch.cat(part) for part in zip(*fitted.values(), strict=True)))
    for name, values in (("_MEAN", mean), ("_SPREAD", spread), ("_WEIGHTS", weights)):
        print(f"{name} = {[round(float(value), 4) for value in values]}")
    tested = damaged(read_faces(arguments.val, arguments.count), seed=2)
    guesses = {p: quadratic((seen - mean) / spread) @ weights for p, (seen, _, _) in tested.items()}
    for preset, guess in guesses.items():
        quantiles = guess.quantile(torch.tensor([0.05, 0.5, 0.95]).double())
        said = "" if preset == "none" else f"rank correlation {correlation(guess, tested[preset][1]):.3f}; "
        print(f"{preset}: {said}damage at 5, 50 and 95 %: {', '.join(f'{float(q):.2f}' for q in quantiles)}")
    guess = torch.cat(list(guesses.values()))
    for name, part in (("what a detector sees", 1), ("structure", 2)):
        print(
            f"all, by {name}: rank correlation {correlation(guess, torch.cat([t[part] for t in tested.values()])):.3f}"
        )


if __name__ == "__main__":
    main()
