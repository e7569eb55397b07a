"""Whether other photographs of a person, averaged into the latent code, make a restored face more like that person.

    pip install dlib-bin face-recognition-models
    python docs/scripts/measure_gallery.py FACES TABLE.csv [--split val] [--people 14] [--share 0.5]

FACES: aligned faces. TABLE: with columns file, split and identity. Each photograph of a person of whom there are two or
more is damaged and restored: alone; with its latent code halfway to the mean of the person's other photographs; and,
for comparison, halfway to a stranger's and to the mean of all strangers. Prints the distance of dlib's embeddings to
the undamaged photograph, which no figure here was fitted to. Only what strangers do not do is owed to the person.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
from collections import defaultdict
from pathlib import Path

import dlib
import numpy as np
import torch
from torch import Tensor

from gpen_core import load_model, read_picture
from gpen_core.architecture.priors.stylegan2 import StyleGAN2Prior
from gpen_core.data.degradation import Degradation
from gpen_core.measures.metrics import psnr

#: About where a face lies in an FFHQ-aligned picture of 256 px: left, top, right, bottom.
FACE = (55, 60, 200, 205)


class Judge:
    """dlib's network for faces: embeddings (128,), at the landmarks of the undamaged face."""

    def __init__(self) -> None:
        self._points = dlib.shape_predictor(_weights("shape_predictor_5_face_landmarks.dat"))
        self._network = dlib.face_recognition_model_v1(_weights("dlib_face_recognition_resnet_model_v1.dat"))

    def distances(self, faces: list[Tensor], original: Tensor) -> list[float]:
        """Of each of `faces` (1, 3, 256, 256) in [0, 1] to the original."""
        shape = self._points(_levels(original), dlib.rectangle(*FACE))
        chips = [dlib.get_face_chip(_levels(face), shape, size=150) for face in (original, *faces)]
        target, *found = (np.array(self._network.compute_face_descriptor(chip)) for chip in chips)
        return [float(np.linalg.norm(one - target)) for one in found]


def _weights(file: str) -> str:
    """A file of the package face-recognition-models, whose own code needs a setuptools of before 2025."""
    package = importlib.util.find_spec("face_recognition_models")
    if package is None or package.origin is None:
        raise SystemExit("face-recognition-models is not installed; see the head of this script")
    return str(Path(package.origin).parent / "models" / file)


def _levels(face: Tensor) -> np.ndarray:
    return np.ascontiguousarray((face[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())


def read_face(path: Path) -> Tensor:
    """(1, 3, S, S) in [0, 1]."""
    return torch.from_numpy(read_picture(path).pixels.copy()).permute(2, 0, 1)[None].float() / 255


def photographs_of(folder: Path, table: Path, split: str) -> list[list[Path]]:
    """The photographs of each person of whom the table has two or more."""
    groups: dict[str, list[Path]] = defaultdict(list)
    with table.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["split"] == split:
                groups[row["identity"]].append(folder / row["file"])
    return [group for group in groups.values() if len(group) > 1]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("table", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--people", type=int, default=14)
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--damage", nargs="+", default=["balanced", "gpen-paper"])
    arguments = parser.parse_args()
    groups = photographs_of(arguments.faces, arguments.table, arguments.split)[: arguments.people]
    people = [[read_face(path) for path in group] for group in groups]
    model, judge = load_model(prepare=False, device="cpu").eval(), Judge()
    prior = model.prior
    assert isinstance(prior, StyleGAN2Prior)

    def encoded(face: Tensor) -> tuple[Tensor, dict[int, tuple[Tensor, ...]]]:
        code, features = model.encode(face * 2 - 1)
        return prior.mapping(code), {r: (f,) * prior.feature_inputs[r] for r, f in features.items()}

    latents = [[encoded(face)[0] for face in person] for person in people]
    rows: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    for number, person in enumerate(people):
        stranger = latents[(number + 1) % len(people)][0]
        strangers = torch.cat([one for k, group in enumerate(latents) if k != number for one in group])
        for index, original in enumerate(person):
            own = torch.cat([one for k, one in enumerate(latents[number]) if k != index])
            towards = {
                "own photographs": own.mean(0, True),
                "a stranger": stranger,
                "strangers": strangers.mean(0, True),
            }
            for damage in arguments.damage:
                latent, features = encoded(Degradation(damage).degrade(original, 1, [1000 * number + index]))
                codes = {"alone": latent, **{k: torch.lerp(latent, v, arguments.share) for k, v in towards.items()}}
                faces = [((prior.render(code, features) + 1) / 2).clamp(0, 1) for code in codes.values()]
                decibels = [float(psnr(face, original)) for face in faces]
                for name, pair in zip(codes, zip(judge.distances(faces, original), decibels, strict=True), strict=True):
                    rows[damage, name].append(pair)
    for (damage, name), pairs in rows.items():
        distance, decibels = np.array(pairs).T
        change = distance - np.array(rows[damage, "alone"])[:, 0]
        error = change.std(ddof=1) / len(change) ** 0.5
        figures = f"distance {distance.mean():.4f} ({change.mean():+.4f} ± {error:.4f}), {decibels.mean():.2f} dB"
        print(f"{damage}, {name}: {figures}")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
