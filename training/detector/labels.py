"""Boxes and landmarks of aligned faces, by a teacher: python -m training.detector.labels FACES TEACHER.pth OUT.npz

An aligned face tells where its eyes are only up to the residual of the fit; a trained detector, asked at several sizes
and mirrored, tells it better, and gives the tight box that RetinaFace detectors agree on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from gpen_core.faces.anchors import anchors, decode_boxes, decode_landmarks
from training.reading import read_rgb

PICTURE_MEAN = (104.0, 117.0, 123.0)  # BGR, what every RetinaFace of this family subtracts
MARGIN = 32
MIRRORED_LANDMARKS = [1, 0, 2, 4, 3]


def load_network(state: dict[str, Tensor] | None = None) -> nn.Module:
    """facexlib's small RetinaFace returning logits, with `state` when given; batch-norm counters are not needed."""
    from facexlib.detection.retinaface import RetinaFace

    network: nn.Module = RetinaFace(network_name="mobile0.25", phase="train", device=torch.device("cpu"))
    if state is not None:
        network.load_state_dict(state, strict=True)
    return network


def to_input(pictures: np.ndarray) -> Tensor:
    """Network input (B, 3, H, W) float32 of RGB uint8 pictures (B, H, W, 3)."""
    bgr = np.ascontiguousarray(pictures[..., ::-1].transpose(0, 3, 1, 2))
    return torch.from_numpy(bgr).float() - torch.tensor(PICTURE_MEAN).view(1, 3, 1, 1)


@torch.no_grad()
def best_face(network: nn.Module, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Box (4,), landmarks (5, 2) and score of the most certain face in an RGB uint8 picture (H, W, 3)."""
    boxes, logits, landmarks = network(to_input(picture[None]))
    scores = logits[0].softmax(-1)[:, 1]
    best = int(scores.argmax())
    anchor = anchors(*picture.shape[:2])[best : best + 1]
    box = decode_boxes(boxes[0, best : best + 1], anchor)[0]
    points = decode_landmarks(landmarks[0, best : best + 1], anchor)[0]
    return box.numpy(), points.numpy(), float(scores[best])


def label_face(
    network: nn.Module, face: np.ndarray, sizes: tuple[int, ...] = (192, 256, 320)
) -> tuple[np.ndarray, np.ndarray, float]:
    """Box and landmarks (means over sizes and mirror images), lowest score; pixels of `face` (S, S, 3) RGB uint8."""
    side = face.shape[0]
    offset = MARGIN * side // 256
    padded = cv2.copyMakeBorder(face, offset, offset, offset, offset, cv2.BORDER_REPLICATE)
    boxes, points, scores = [], [], []
    for size in sizes:
        scale = size / padded.shape[0]
        small = cv2.resize(padded, (size, size), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        for mirrored in (False, True):
            box, landmark, score = best_face(network, np.ascontiguousarray(small[:, ::-1]) if mirrored else small)
            if mirrored:
                box[[0, 2]] = size - 1 - box[[2, 0]]
                landmark = landmark[MIRRORED_LANDMARKS]
                landmark[:, 0] = size - 1 - landmark[:, 0]
            boxes.append((box + 0.5) / scale - 0.5 - offset)
            points.append((landmark + 0.5) / scale - 0.5 - offset)
            scores.append(score)
    return np.mean(boxes, axis=0), np.mean(points, axis=0), min(scores)


def main() -> None:
    """Labels every picture of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--least-score", type=float, default=0.9)
    options = parser.parse_args()
    network = load_network(torch.load(options.teacher, map_location="cpu", weights_only=True)).eval()
    names, boxes, points = [], [], []
    paths = sorted(p for p in options.faces.iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    for path in paths:
        box, landmark, score = label_face(network, read_rgb(path))
        if score >= options.least_score:
            names.append(path.name)
            boxes.append(box)
            points.append(landmark)
    np.savez(
        options.out, names=np.array(names), boxes=np.array(boxes, np.float32), landmarks=np.array(points, np.float32)
    )
    print(f"{len(names)} of {len(paths)} faces labelled, the others are below score {options.least_score}")


if __name__ == "__main__":
    main()
