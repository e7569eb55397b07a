"""Measures a detector: python -m training.detector.evaluate WEIGHTS PHOTOS FACES LABELS.npz

Prints how many faces of the Solvay photograph are found (against the teacher's 29) and how many are false, what is
found in each portrait, and the landmark error on scenes composed of faces that training never saw.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from facexlib.detection.retinaface_utils import py_cpu_nms
from torch import Tensor, nn

from .anchors import decode, make_anchors
from .backgrounds import read_photographs
from .labels import load_network, to_input
from .scenes import Faces, compose


def read_weights(path: Path) -> dict[str, Tensor]:
    """The network's state dict from a safetensors file, a bare .pth, or a training state."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return {k: v.float() if v.is_floating_point() else v for k, v in load_file(path).items()}
    stored: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    network = stored.get("network", stored)
    return network  # type: ignore[return-value]


@torch.no_grad()
def detect(
    network: nn.Module, picture: np.ndarray, threshold: float, nms: float = 0.4
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes (N, 4), landmarks (N, 5, 2), scores (N,) in an RGB uint8 picture, most certain first."""
    offsets, logits, landmark_offsets = (t[0] for t in network(to_input(picture[None])))
    scores = logits.softmax(-1)[:, 1]
    keep = (scores > threshold).nonzero()[:, 0]
    keep = keep[scores[keep].argsort(descending=True)]
    boxes, points = decode(offsets[keep], landmark_offsets[keep], make_anchors(*picture.shape[:2])[keep])
    ranked = torch.cat([boxes, scores[keep, None]], 1).numpy()
    kept = torch.tensor([int(k) for k in py_cpu_nms(ranked, nms)], dtype=torch.long)
    return boxes[kept].numpy(), points[kept].numpy(), scores[keep][kept].numpy()


def overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4)."""
    low, high = np.maximum(first[:, None, :2], second[None, :, :2]), np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.prod(np.clip(high - low, 0, None), -1)
    areas = [np.prod(b[:, 2:] - b[:, :2], -1) for b in (first, second)]
    return shared / (areas[0][:, None] + areas[1][None] - shared)


def read_picture(path: Path, longest_side: int) -> np.ndarray:
    """An RGB picture, shrunk until its longest side is at most `longest_side`."""
    picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    scale = longest_side / max(picture.shape[:2])
    return picture if scale >= 1 else cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def scene_errors(network: nn.Module, faces: Faces, count: int, threshold: float) -> tuple[np.ndarray, int, int, int]:
    """Landmark errors (eye distances) of the faces found; counts of faces wanted and found, and of false detections."""
    photographs = read_photographs()
    errors, wanted, found, false = [], 0, 0, 0
    for index in range(count):
        scene = compose(np.random.default_rng((99, index)), 384, 384, faces, photographs)
        boxes, points, _ = detect(network, scene.picture, threshold)
        shared = (
            overlap(boxes, scene.boxes) if len(boxes) and len(scene.boxes) else np.zeros((len(boxes), len(scene.boxes)))
        )
        false += int((shared.max(1, initial=0) < 0.3).sum())
        for face in np.flatnonzero(scene.wanted):
            wanted += 1
            if len(boxes) and shared[:, face].max() > 0.4:
                found += 1
                truth = scene.landmarks[face]
                distance = np.linalg.norm(points[shared[:, face].argmax()] - truth, axis=1).mean()
                errors.append(distance / np.linalg.norm(truth[0] - truth[1]))
    return np.array(errors), wanted, found, false


def main() -> None:
    """Reads the command line and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("faces", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--teacher", type=Path, required=True, help="says where the faces of the group photograph are")
    parser.add_argument("--threshold", type=float, nargs="+", default=[0.5, 0.7, 0.9])
    parser.add_argument("--longest-side", type=int, default=1000)
    parser.add_argument("--scenes", type=int, default=100)
    options = parser.parse_args()
    network = load_network(read_weights(options.weights)).eval()
    teacher = load_network(read_weights(options.teacher)).eval()
    for threshold in options.threshold:
        for path in sorted(options.photos.iterdir()):
            group = path.name.startswith("Solvay")
            picture = read_picture(path, 1500 if group else options.longest_side)
            boxes, _, scores = detect(network, picture, threshold)
            truth, _, _ = detect(teacher, picture, 0.9)
            shared = overlap(boxes, truth) if len(boxes) else np.zeros((0, len(truth)))
            hit = int((shared.max(0, initial=0) > 0.4).sum())
            print(
                f"{threshold} {path.name}: {hit} of {len(truth)}, {len(boxes) - hit} other, {np.round(scores[:3], 3)}"
            )
        errors, wanted, found, false = scene_errors(
            network, Faces(options.faces, options.labels), options.scenes, threshold
        )
        counts = f"{found} of {wanted} found, {false} false"
        print(f"{threshold} scenes: {counts}, landmark error median {np.median(errors):.4f} of the eye distance")


if __name__ == "__main__":
    main()
