"""Times `FaceRestorer.restore` on 29 faces, beside the reference's pipeline in the same process.

    python docs/scripts/bench_restore.py PICTURE --detector WEIGHTS [--reference PATH_TO_GPEN] [--scale 4]

PICTURE: a group photograph (Solvay_conference_1927.png has 29 faces). Detections are made once and given to both; the
network and the parser are constants, so what is timed is everything else. Runs are interleaved; medians are printed,
of wall time and of processor time (which does not mind a busy machine).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from gpen_core.config import ModelCard
from gpen_core.faces.types import Detection
from gpen_core.images import as_picture
from gpen_core.options import RestoreOptions, Selection
from gpen_core.restore import FaceRestorer
from gpen_core.restore.detect import find_faces
from gpen_core.weights import load_detector

SIZE = 512


class ConstantNetwork:
    """Gives one fixed face, whatever the crop."""

    config = types.SimpleNamespace(in_size=SIZE, out_size=SIZE)
    card = ModelCard(name="constant")

    def __init__(self, face: torch.Tensor) -> None:
        self.face = face

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, 512, 512) of as many crops."""
        return self.face.expand(len(x), -1, -1, -1)


def reference_pipeline(root: Path, face: np.ndarray, mask: np.ndarray) -> Callable[[np.ndarray, list[Detection]], Any]:
    """The reference's own `FaceEnhancement.process` with its four networks replaced; `root` is a checkout or its git
    directory's work tree."""
    import cv2

    def source(name: str) -> str:
        return subprocess.run(  # noqa: S603
            ["git", "-C", str(root), "show", f"HEAD:{name}"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    align = types.ModuleType("align_faces")
    exec(compile(source("align_faces.py"), "align_faces.py", "exec"), align.__dict__)  # noqa: S102
    names = {
        "__init_paths": {},
        "align_faces": align.__dict__,
        "face_detect": {},
        "face_detect.retinaface_detection": {"RetinaFaceDetection": None},
        "face_parse": {},
        "face_parse.face_parsing": {"FaceParse": None},
        "face_model": {},
        "face_model.face_gan": {"FaceGAN": None},
        "sr_model": {},
        "sr_model.real_esrnet": {"RealESRNet": None},
    }
    for name, content in names.items():
        module = types.ModuleType(name)
        module.__dict__.update(content)
        sys.modules[name] = module
    enhancement = types.ModuleType("face_enhancement")
    exec(compile(source("face_enhancement.py"), "face_enhancement.py", "exec"), enhancement.__dict__)  # noqa: S102
    pipeline = object.__new__(enhancement.FaceEnhancement)
    pipeline.use_sr, pipeline.in_size, pipeline.out_size = False, SIZE, SIZE
    pipeline.threshold, pipeline.alpha = 0.9, 1
    pipeline.kernel = np.outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25]).astype("float32")
    pipeline.reference_5pts = align.get_reference_facial_points((SIZE, SIZE), 0.25, (0, 0), True)
    pipeline.facegan = types.SimpleNamespace(process=lambda crop: face)
    pipeline.faceparser = types.SimpleNamespace(process=lambda crop: [mask.copy()])
    cv2.setNumThreads(torch.get_num_threads())

    def run(pixels: np.ndarray, faces: list[Detection]) -> Any:
        boxes = np.array([[*f.box.tolist(), f.score] for f in faces], np.float32)
        marks = np.array([f.landmarks.T.reshape(-1).tolist() for f in faces], np.float32)
        pipeline.facedetector = types.SimpleNamespace(detect=lambda image: (boxes, marks))
        return pipeline.process(pixels)

    return run


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of wall and of processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    """Prints one line per way of restoring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("picture", type=Path)
    parser.add_argument("--detector", required=True)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    picture = Image.open(arguments.picture).convert("RGB")
    detector = load_detector(arguments.detector, device="cpu")
    found = find_faces(detector, as_picture(np.asarray(picture)), Selection())
    faces = [face.scaled(arguments.scale, arguments.scale) for face in found]
    pixels = np.array(picture.resize((picture.width * arguments.scale, picture.height * arguments.scale)))
    generator = np.random.default_rng(0)
    face = generator.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[60:470, 90:420] = 255
    tensor = torch.from_numpy(face.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    plane = torch.from_numpy(mask / 255).float()
    restorer = FaceRestorer(ConstantNetwork(tensor), parser=lambda x: plane.expand(len(x), -1, -1))
    ways: dict[str, Callable[[], Any]] = {
        "restore, defaults": lambda: restorer.restore(pixels, RestoreOptions(), detections=faces),
        "restore, reference()": lambda: restorer.restore(pixels, RestoreOptions.reference(), detections=faces),
    }
    if arguments.reference is not None:
        theirs = reference_pipeline(arguments.reference, face, mask)
        backwards = np.ascontiguousarray(pixels[..., ::-1])
        ways["the reference"] = lambda: theirs(backwards, faces)
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for round_number in range(arguments.rounds + 1):
        for name, call in ways.items():
            taken = timed(call)
            if round_number:  # the first one warms up
                times[name].append(taken)
    height, width = pixels.shape[:2]
    print(f"{len(faces)} faces in {width}×{height}, {arguments.threads} threads: medians (least)")
    medians = {name: [statistics.median(t[i] for t in taken) for i in (0, 1)] for name, taken in times.items()}
    for name, (wall, processor) in medians.items():
        least = min(taken[1] for taken in times[name])
        line = f"{name:22s} {wall:7.3f} s   processor {processor:7.3f} s ({least:.3f})"
        if "the reference" in medians and name != "the reference":
            ratios = [medians["the reference"][i] / medians[name][i] for i in (0, 1)]
            line += f"   {ratios[0]:.1f} times as fast ({ratios[1]:.1f} by processor time)"
        print(line)


if __name__ == "__main__":
    main()
