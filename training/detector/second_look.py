"""Trains the detector's second look: python -m training.detector.second_look CANDIDATES.npz FACES LABELS.npz OUT.pt \\
    --start mobilenetV1X0.25_pretrain.tar

CANDIDATES, one file or several, are what `training.detector.candidates` gathered: faces and what was taken for one. To
these come the aligned faces themselves, and parts of them, all turned, covered and damaged anew at every step. OUT gets
a running mean of the weights, every minute. --start: ImageNet features, or an OUT of before, whose mistakes are then
seen more often.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpen_core.faces.geometry import fit_similarity
from gpen_core.faces.second_look import LANDMARKS, SIDE, SecondLook
from training.fitting import fit
from training.reading import read_rgb

from .backgrounds import Generator, Picture
from .candidates import MARGIN
from .looks import covered, damaged, jittered, shuffled, turned

#: How a batch is made up: candidates that are faces, aligned faces, candidates that are none, and parts of faces.
SHARES = (0.25, 0.47, 0.90)
SMOOTHING, FACE_WEIGHT = 0.01, 1.5
#: How much more often a crop is drawn that an earlier second look took for a face.
MISTAKEN = 6.0
_STORED = SIDE + 2 * MARGIN
_WHOLE = np.array([[1.0, 0, 0], [0, 1.0, 0]])


class Examples:
    """Crops to learn from. Of those that are no faces, the surer the detector was, the more often one is drawn; and the
    surer `before`, where there is one, was of it too."""

    def __init__(self, candidates: Sequence[Path], faces: Path, labels: Path, before: SecondLook | None) -> None:
        found = [np.load(path) for path in candidates]
        are_faces = [part["label"] == 1 for part in found]
        crops = [part["crops"].transpose(0, 2, 3, 1) for part in found]
        self.faces = np.concatenate([part[mask] for part, mask in zip(crops, are_faces, strict=True)])
        self.others = np.concatenate([part[~mask] for part, mask in zip(crops, are_faces, strict=True)])
        score = np.concatenate([part["score"][~mask] for part, mask in zip(found, are_faces, strict=True)])
        chance = 0.1 + 2 * score**2
        if before is not None:
            chance += MISTAKEN * believed(before, self.others)
        self.chance = np.cumsum(chance / chance.sum())
        stored = np.load(labels)
        self.aligned, self.affines = [], []
        for name, points in zip(stored["names"], stored["landmarks"], strict=True):
            face = read_rgb(faces / name)
            self.aligned.append(cv2.resize(face, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
            self.affines.append((points + 0.5) / 2 - 0.5)

    def other(self, rng: Generator) -> Picture:
        """A crop (96, 96, 3) of what is no face."""
        crop: Picture = self.others[min(int(np.searchsorted(self.chance, rng.random())), len(self.others) - 1)]
        return crop

    def draw(self, rng: Generator) -> tuple[Picture, float]:
        """A crop (64, 64, 3) and whether it shows a face."""
        kind = rng.random()
        if kind < SHARES[0]:
            crop = jittered(rng, self.faces[rng.integers(len(self.faces))], _WHOLE, 0.5)
            return damaged(rng, covered(rng, crop, self.other(rng)) if rng.random() < 0.15 else crop), 1.0
        if kind < SHARES[1]:
            face, affine = self._aligned(rng, 0.05)
            crop = jittered(rng, face, affine, 0.8)
            crop = turned(rng, crop, self.other(rng)) if rng.random() < 0.22 else crop
            return damaged(rng, covered(rng, crop, self.other(rng)) if rng.random() < 0.35 else crop), 1.0
        if kind < SHARES[2]:
            crop = jittered(rng, self.other(rng), _WHOLE, 0.8)
            crop = np.rot90(crop, int(rng.integers(1, 4))) if rng.random() < 0.3 else crop
            return damaged(rng, crop[..., rng.permutation(3)] if rng.random() < 0.2 else crop), 0.0
        return damaged(rng, self._part(rng)), 0.0

    def _aligned(self, rng: Generator, error: float) -> tuple[Picture, np.ndarray]:
        """A face and the map to its crop with a margin; error: of the landmarks, in eye distances."""
        index = rng.integers(len(self.aligned))
        points = self.affines[index]
        points = points + rng.normal(0, error, (5, 2)) * np.linalg.norm(points[0] - points[1])
        return self.aligned[index], fit_similarity(torch.tensor(points)[None], LANDMARKS + MARGIN)[0].numpy()

    def _part(self, rng: Generator) -> Picture:
        """What of a face is none: a part, one far off its place, its tiles in disorder."""
        face, affine = self._aligned(rng, 0.0)
        moved, kind, middle = np.eye(3), rng.random(), (_STORED - 1) / 2
        if kind < 0.55:
            scale, centre = rng.uniform(2.0, 4.0), middle + rng.uniform(-26, 26, 2)
            moved[:2, :2] *= scale
            moved[:2, 2] = middle - scale * centre
        elif kind < 0.75:
            angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(30, 45)
            moved[:2, 2] = distance * np.cos(angle), distance * np.sin(angle)
        crop = jittered(rng, face, (moved @ np.vstack([affine, (0, 0, 1)]))[:2], 0.5)
        return crop if kind < 0.75 else shuffled(rng, crop)


def make_batch(rng: Generator, examples: Examples, count: int) -> tuple[Tensor, Tensor]:
    """Crops (N, 3, 64, 64) in [0, 1], and (N,) ones and zeros."""
    crops, wanted = zip(*(examples.draw(rng) for _ in range(count)), strict=True)
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255, torch.tensor(wanted)


def believed(look: SecondLook, crops: np.ndarray) -> np.ndarray:
    """(N,): how surely a second look takes crops (N, 96, 96, 3) for faces."""
    look.eval()
    inner = crops[:, MARGIN : MARGIN + SIDE, MARGIN : MARGIN + SIDE].transpose(0, 3, 1, 2)
    with torch.no_grad():
        parts = [look(torch.from_numpy(inner[i : i + 256]).float() / 255) for i in range(0, len(inner), 256)]
    return torch.cat(parts).sigmoid().numpy()


def make_network(start: Path) -> tuple[SecondLook, bool]:
    """The network on ImageNet features, or on what an earlier training left; and whether it is the latter."""
    stored = torch.load(start, map_location="cpu", weights_only=True)
    network = SecondLook()
    if "state_dict" not in stored:
        network.load_state_dict(stored)
        return network, True
    state = {key.removeprefix("module."): value for key, value in stored["state_dict"].items()}
    network.load_state_dict({k: v for k, v in state.items() if k.startswith(("stage1.", "stage2."))}, strict=False)
    return network, False


def main() -> None:
    """Trains until the minutes are over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("candidates", type=Path, nargs="+")
    parser.add_argument("faces", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    network, trained = make_network(options.start)
    before = network if trained else None
    examples = Examples(options.candidates, options.faces, options.labels, before)
    network.train()

    def cost() -> Tensor:
        crops, wanted = make_batch(rng, examples, options.batch)
        target = wanted * (1 - 2 * SMOOTHING) + SMOOTHING
        each = F.binary_cross_entropy_with_logits(network(crops), target, reduction="none")
        return (each * torch.where(wanted > 0, FACE_WEIGHT, 1.0)).mean()

    def save(mean: nn.Module, _: int) -> None:
        torch.save(mean.state_dict(), options.out)

    fit(network, cost, save, minutes=options.minutes, rate=options.rate, memory=0.995)


if __name__ == "__main__":
    main()
