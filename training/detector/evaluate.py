"""Measures a detector: python -m training.detector.evaluate DETECTOR PHOTOS FACES LABELS.npz --teacher TEACHER

Prints which of the teacher's faces are found in each photograph and what else is, and, on scenes composed of faces that
training never saw, how many are found and how far their landmarks are off, for large, middling and small faces.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch

from gpen_core.faces.detect import RetinaFaceDetector
from gpen_core.faces.duplicates import overlaps
from gpen_core.faces.types import Detection
from gpen_core.images import read_picture
from gpen_core.options import Selection
from gpen_core.restore.detect import find_faces
from gpen_core.weights import load_detector

from .backgrounds import Generator, Picture, background, read_photographs
from .scenes import Faces, Scene, compose, paste_face

SIZES = (0, 20, 32, 64, 128, 1000)  # pixels of the box's height


def overlap(found: list[Detection], boxes: np.ndarray) -> np.ndarray:
    """Intersection over union (N, M) of detections and boxes (M, 4)."""
    first = torch.stack([d.box for d in found]) if found else torch.zeros(0, 4)
    share: np.ndarray = overlaps(first.double(), torch.from_numpy(boxes).double()).numpy()
    return share


def plain_scene(rng: Generator, faces: Faces, photographs: list[Picture]) -> Scene:
    """Six faces of 24 to 170 px, hardly turned, on a background; nothing is damaged."""
    canvas = background(rng, 480, 640, photographs)
    placed = []
    for index in range(6):
        place = (107 + index % 3 * 213, 120 + index // 3 * 240)
        side = float(np.exp(rng.uniform(np.log(24), np.log(170))))
        placed.append(paste_face(rng, canvas, faces, place, side, rng.normal(0, 0.15)))
    boxes, landmarks = (np.array(part, np.float32) for part in zip(*placed, strict=True))
    return Scene(picture=canvas, boxes=boxes, landmarks=landmarks, wanted=np.ones(len(boxes), bool))


def judge_scenes(detector: RetinaFaceDetector, scenes: list[Scene]) -> None:
    """Prints counts, and the median landmark error in eye distances by the size of the face."""
    rows, wanted, false = [], 0, 0
    for scene in scenes:
        image = torch.from_numpy(scene.picture).permute(2, 0, 1)[None].float() / 255
        found = detector(image)[0]
        shared = overlap(found, scene.boxes)
        false += int((shared.max(1, initial=0) < 0.3).sum())
        wanted += int(scene.wanted.sum())
        for face in np.flatnonzero(scene.wanted):
            if shared[:, face].max(initial=0) > 0.4:
                truth = scene.landmarks[face]
                error = np.linalg.norm(found[shared[:, face].argmax()].landmarks.numpy() - truth, axis=1).mean()
                height = scene.boxes[face, 3] - scene.boxes[face, 1]
                rows.append((height, error / np.linalg.norm(truth[0] - truth[1])))
    table = np.array(rows).reshape(-1, 2)
    print(f"  {len(table)} of {wanted} found, {false} false; landmark error {np.median(table[:, 1]):.4f}", end="")
    for low, high in pairwise(SIZES):
        part = table[(table[:, 0] >= low) & (table[:, 0] < high), 1]
        if len(part):
            print(f"; {low} to {high} px {np.median(part):.4f}", end="")
    print()


def main() -> None:
    """Reads the command line and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("faces", type=Path)
    parser.add_argument("labels", type=Path)
    parser.add_argument("--teacher", type=Path, required=True, help="says where the faces of a photograph are")
    parser.add_argument("--threshold", type=float, default=Selection().threshold)
    parser.add_argument("--scenes", type=int, default=40)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    detector, teacher = (load_detector(path, device="cpu") for path in (options.detector, options.teacher))
    for path in sorted(options.photos.iterdir()):
        picture = read_picture(path)
        found = find_faces(detector, picture, Selection(threshold=options.threshold))
        truth = find_faces(teacher, picture, Selection())
        shared = overlap(found, np.array([d.box.numpy() for d in truth]).reshape(-1, 4))
        hit = int((shared.max(0, initial=0) > 0.4).sum())
        least = min([face.score for face in found], default=0.0)
        print(f"{path.name}: {hit} of {len(truth)}, {len(found) - hit} other; least score {least:.3f}")
    detector.floor = options.threshold
    faces, photographs = Faces(options.faces, options.labels), read_photographs()
    seeds = range(options.scenes)
    print("hard scenes, as in training:")
    hard = [compose(np.random.default_rng((99, i)), 384, 384, faces, photographs) for i in seeds]
    judge_scenes(detector, hard)
    print("plain scenes:")
    judge_scenes(detector, [plain_scene(np.random.default_rng((7, i)), faces, photographs) for i in seeds])


if __name__ == "__main__":
    main()
