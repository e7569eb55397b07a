"""Gathers what a detector takes for faces: python -m training.detector.candidates PICTURES FACES LABELS.npz OUT.npz \\
    --teachers ONE.pth OTHER.pth

PICTURES: a folder of photographs and drawings without faces; those with an alpha channel are stamped onto others. What
both teachers take for a face is left out; without teachers nothing is, as befits a folder of animals of which somebody
has looked at each: apes look like faces to teachers too. FACES and LABELS are what the detector itself learns from. OUT
holds crops (N, 3, 96, 96) uint8, straightened as for the second look with a quarter more on every side, label (N,): 1
for a face, and the score (N,) of each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from gpen_core.faces.detect import RetinaFaceDetector
from gpen_core.faces.geometry import fit_similarity
from gpen_core.faces.retinaface import MobileRetinaFace
from gpen_core.faces.second_look import LANDMARKS, SIDE
from gpen_core.faces.types import Detection
from gpen_core.faces.warp import crop_faces
from gpen_core.weights import load_detector

from .backgrounds import Generator, Picture, background
from .evaluate import overlap
from .labels import PICTURE_MEAN
from .scenes import Faces, age, compose

MARGIN = SIDE // 4
LARGEST, MOST, FLOOR = 1600, 25, 0.05
#: What both teachers are as sure of is a face after all: somebody in the background, a statue, a portrait on a wall.
SURE = 0.8


class Gathered:
    """Crops, labels and scores so far."""

    def __init__(self, detector: RetinaFaceDetector) -> None:
        self.detector = detector
        self.crops: list[np.ndarray] = []
        self.labels: list[int] = []
        self.scores: list[float] = []

    def look(self, picture: Picture) -> tuple[torch.Tensor, list[Detection]]:
        """The picture as (3, H, W) in [0, 1], and what the detector finds in it."""
        image = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1).float() / 255
        return image, [face for face in self.detector(image[None])[0] if face.score >= FLOOR]

    def add(self, image: torch.Tensor, found: Sequence[Detection], label: int) -> None:
        """Takes these."""
        if not found:
            return
        affines = fit_similarity([face.landmarks for face in found], LANDMARKS + MARGIN)
        crops = crop_faces(image, affines, SIDE + 2 * MARGIN, "reflect")
        self.crops += list((crops * 255 + 0.5).clamp(0, 255).byte().numpy())
        self.labels += [label] * len(found)
        self.scores += [face.score for face in found]


def read(path: Path) -> np.ndarray:
    """(H, W, 3 or 4) uint8, RGB or RGBA, at most 1600 px a side."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if picture is None or picture.dtype != np.uint8 or picture.ndim != 3:
        picture = cv2.imread(str(path))
    if picture is None:
        raise SystemExit(f"{path} cannot be read")
    scale = min(1.0, LARGEST / max(picture.shape[:2]))
    picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def from_photograph(rng: Generator, gathered: Gathered, picture: Picture) -> None:
    """Looks at it as it is, smaller, and at a part of it; mirrored every other time."""
    if rng.random() < 0.5:
        picture = np.ascontiguousarray(picture[:, ::-1])
    height, width = picture.shape[:2]
    h, w = (int(n * rng.uniform(0.3, 0.7)) for n in (height, width))
    y, x = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
    for part, side in (
        (picture, max(height, width)),
        (picture, rng.uniform(320, 640)),
        (picture[y : y + h, x : x + w], rng.uniform(300, 900)),
    ):
        scale = side / max(part.shape[:2])
        sized = cv2.resize(
            part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        )
        image, found = gathered.look(age(rng, sized) if part is not picture else sized)
        gathered.add(image, found[:MOST], 0)


def from_stamps(
    rng: Generator, gathered: Gathered, stamps: Sequence[np.ndarray], photographs: Sequence[Picture]
) -> None:
    """Looks at a scene of 640×480 with some of the stamps in it."""
    canvas = background(rng, 480, 640, photographs)
    for _ in range(int(rng.integers(2, 7))):
        stamp = stamps[int(rng.integers(len(stamps)))]
        scale = float(np.exp(rng.uniform(np.log(50), np.log(420)))) / max(stamp.shape[:2])
        stamp = cv2.resize(stamp, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        size = stamp.shape[1], stamp.shape[0]
        turn = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), rng.normal(0, 15), 1)
        stamp = cv2.warpAffine(stamp, turn, size)
        y, x = (int(rng.integers(0, n - 20)) for n in canvas.shape[:2])
        spot = canvas[y : y + size[1], x : x + size[0]]
        stamp = stamp[: spot.shape[0], : spot.shape[1]]
        alpha = stamp[..., 3:].astype(np.float32) / 255
        spot[:] = (spot * (1 - alpha) + stamp[..., :3] * alpha).astype(np.uint8)
    image, found = gathered.look(age(rng, canvas))
    gathered.add(image, found[:MOST], 0)


def from_scene(rng: Generator, gathered: Gathered, faces: Faces, photographs: Sequence[Picture]) -> None:
    """Looks at a scene with known faces: both what is one and what is not."""
    side = int(rng.choice([320, 384, 512, 640]))
    scene = compose(rng, side, side, faces, photographs)
    image, found = gathered.look(scene.picture)
    if not len(scene.boxes):
        gathered.add(image, found[:MOST], 0)
        return
    shared = overlap(found, scene.boxes)
    best, whose = shared.max(1), shared.argmax(1)
    near = []
    for face, index in zip(found, whose, strict=True):
        truth = scene.landmarks[index]
        off = np.linalg.norm(face.landmarks.numpy() - truth, axis=1).mean() / np.linalg.norm(truth[0] - truth[1])
        near.append(bool(scene.wanted[index] and off < 0.35))
    gathered.add(image, [f for f, b, n in zip(found, best, near, strict=True) if b > 0.45 and n], 1)
    gathered.add(image, [f for f, b in zip(found, best, strict=True) if b < 0.1][:15], 0)


def are_faces(crops: np.ndarray, teachers: Sequence[Path]) -> np.ndarray:
    """(N,) booleans: which of the crops (N, 3, 96, 96) all of the teachers, where there are any, are sure of."""
    least = np.ones(len(crops), np.float32) if teachers else np.zeros(len(crops), np.float32)
    for path in teachers:
        network = MobileRetinaFace()
        state = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
        network.eval()
        for start in range(0, len(crops), 64):
            batch = F.interpolate(torch.from_numpy(crops[start : start + 64]).float(), (160, 160), mode="bilinear")
            batch = F.pad(batch, (16,) * 4, mode="replicate").flip(1) - torch.tensor(PICTURE_MEAN)[:, None, None]
            with torch.no_grad():
                scores = network(batch)[1][..., 1].amax(1).numpy()
            least[start : start + 64] = np.minimum(least[start : start + 64], scores)
    return least > SURE


def main() -> None:
    """Goes through the photographs, then composes scenes until the minutes are over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("faces", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--teachers", type=Path, nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=1, help="through the photographs")
    parser.add_argument("--minutes", type=float, default=15, help="for the composed scenes")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    rng = np.random.default_rng(options.seed)
    gathered = Gathered(load_detector("gpen-open-detector", device="cpu"))
    gathered.detector.second_look = None
    photographs: list[np.ndarray] = []
    stamps: list[np.ndarray] = []
    for path in sorted(
        path for path in options.pictures.rglob("*") if path.suffix.lower() in (".jpg", ".png", ".webp")
    ):
        picture = read(path)
        (stamps if picture.shape[2] == 4 else photographs).append(picture)
    for picture in photographs * options.rounds:
        from_photograph(rng, gathered, picture)
    faces, until = Faces(options.faces, options.labels), time.monotonic() + options.minutes * 60
    while time.monotonic() < until:
        if stamps:
            from_stamps(rng, gathered, stamps, photographs)
        from_scene(rng, gathered, faces, photographs)
    crops, labels = np.array(gathered.crops), np.array(gathered.labels)
    keep = (labels == 1) | ~are_faces(crops, options.teachers)
    np.savez(options.out, crops=crops[keep], label=labels[keep], score=np.array(gathered.scores)[keep])
    print(
        f"{int(labels.sum())} faces, {int((labels[keep] == 0).sum())} others; {int((~keep).sum())} were faces after all"
    )


if __name__ == "__main__":
    main()
