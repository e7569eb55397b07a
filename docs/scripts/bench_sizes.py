"""Times `gpen restore` end to end over pictures of 0.3 to 50 megapixels with faces of 40 to 3,000 px.

    python docs/scripts/bench_sizes.py [--faces FOLDER_OF_ALIGNED_FACES] [--case 12:1500:1 …] [--threads 1]

A case is megapixels:height of the face:how many. Pictures are composed of the faces (without a folder: of the one in
the shipped example) on a wall of soft noise with grain and saved as JPEG. Each is restored by the command with all
defaults, in a process of its own (total, peak memory), and step by step in this one. Seconds are processor time, which
does not mind a busy machine, on one thread unless told otherwise; wall time of the command stands beside.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import gpen_core
from gpen_core import FaceRestorer, load_detector, load_model
from gpen_core.images import read_picture
from gpen_core.measures.figures import face_figures

CASES = (
    *("0.3:40:1", "0.3:200:1", "1:100:1", "1:400:1", "3:40:10", "3:800:1", "12:40:1", "12:300:3", "12:1500:1"),
    *("24:100:10", "24:2000:1", "50:100:10", "50:100:1000", "50:800:4", "50:3000:1"),
)
#: Of an aligned crop, how much of its height the face takes.
_FACE = 0.6


def wall(width: int, height: int, random: np.random.Generator) -> Image.Image:
    """Soft blotches under grain, as a wall out of focus has them."""
    small = random.integers(90, 150, (max(2, height // 200), max(2, width // 200), 3), np.uint8)
    picture = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    tile = random.integers(-4, 5, (256, 256, 1), np.int16)
    grain = np.tile(tile, (math.ceil(height / 256), math.ceil(width / 256), 1))[:height, :width]
    return Image.fromarray((picture + grain).clip(0, 255).astype(np.uint8))


def compose(faces: Sequence[Image.Image], megapixels: float, size: int, count: int) -> Image.Image:
    """A 4:3 picture with `count` faces of `size` px in a grid, as large as it lets them be."""
    height = max(round(math.sqrt(megapixels * 0.75e6)), round(1.05 * size))
    width = round(megapixels * 1e6 / height)
    random = np.random.default_rng(0)
    picture = wall(width, height, random)
    columns = math.ceil(math.sqrt(count * width / height))
    rows = math.ceil(count / columns)
    side = round(size / _FACE)
    y, x = (np.linspace(-1, 1, side, dtype=np.float32)[index] for index in ((slice(None), None), (None, slice(None))))
    soft = ((1.0 - np.sqrt((x / 0.8) ** 2 + (y / 0.95) ** 2)) / 0.1).clip(0, 1)
    mask = Image.fromarray((soft * 255).astype(np.uint8))
    for index in range(count):
        face = faces[index % len(faces)].resize((side, side), Image.Resampling.LANCZOS)
        row, column = divmod(index, columns)
        left, top = width * (column + 0.5) / columns - side / 2, height * (row + 0.5) / rows - side / 2
        picture.paste(face, (round(left), round(top)), mask)
    return picture


def aligned_faces(folder: Path | None) -> list[Image.Image]:
    """Those of the folder, else the one of the shipped example."""
    if folder is not None:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".png"))
        return [Image.open(path).convert("RGB") for path in paths[:50]]
    example = Path(gpen_core.__file__).parent / "examples" / "kept-in-a-drawer.jpg"
    restored = FaceRestorer(load_model("gpen-open")).restore(example)
    return [
        Image.fromarray((face.restored.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
        for face in restored.faces
        if face.restored is not None
    ]


#: `gpen` with its arguments, which at the end says the most memory that it held (what the system counts for a child
#: holds its parent's).
_COMMAND = """
import pathlib, sys
from gpen_core.cli.main import main
status = main(sys.argv[1:])
print(*[line.split()[1] for line in pathlib.Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line])
raise SystemExit(status)
"""


def command(picture: Path, folder: Path) -> tuple[float, float, float]:
    """Wall and processor seconds and peak megabytes of `gpen restore`."""
    arguments = ["restore", str(picture), "-o", str(folder), "--quiet", "--overwrite"]
    began, before = time.perf_counter(), os.times()
    done = subprocess.run([sys.executable, "-c", _COMMAND, *arguments], capture_output=True, text=True)  # noqa: S603
    wall, after = time.perf_counter() - began, os.times()
    if done.returncode:
        raise SystemExit(f"gpen {' '.join(arguments)} failed: {done.stderr}")
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, processor, float(done.stdout.split()[-1]) / 1e3


def steps(restorer: FaceRestorer, path: Path) -> tuple[int, list[float]]:
    """Faces found, and processor seconds of decoding, detecting, all else of restoring, the figures, encoding."""
    marks = [time.process_time()]
    picture = read_picture(path)
    marks.append(time.process_time())
    faces = restorer.detect(picture)
    marks.append(time.process_time())
    result = restorer.restore(picture, detections=faces)
    marks.append(time.process_time())
    for face in result.faces:
        face_figures(face, result.decoded)
    marks.append(time.process_time())
    result.save(path.with_name("result.jpg"))
    marks.append(time.process_time())
    return len(faces), [after - before for before, after in pairwise(marks)]


def main() -> None:
    """Prints one Markdown row per case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", type=Path)
    parser.add_argument("--case", nargs="+", default=CASES)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # of the commands
    torch.set_num_threads(arguments.threads)
    faces = aligned_faces(arguments.faces)
    restorer = FaceRestorer(load_model("gpen-open", device="cpu"), load_detector(device="cpu"))
    restorer.restore(np.zeros((64, 64, 3), np.uint8))
    print("| picture | faces | found | command (wall) | decode | detect | restore | a face | figures | encode | peak |")
    print("|---|---|---|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        for case in arguments.case:
            megapixels, size, count = (float(part) for part in case.split(":"))
            path = Path(name) / "picture.jpg"
            picture = compose(faces, megapixels, round(size), round(count))
            picture.save(path, quality=92)
            wall, total, peak = command(path, Path(name) / "out")
            found, (decode, detect, restore, figures, encode) = steps(restorer, path)
            cells = [f"{picture.width}×{picture.height}", f"{size:.0f} px × {count:.0f}", str(found)]
            cells += [f"{total:.1f} s ({wall:.1f})", f"{decode:.2f} s", f"{detect:.2f} s", f"{restore:.2f} s"]
            cells += [f"{restore / max(found, 1) * 1e3:.0f} ms", f"{figures / restore:.1%}", f"{encode:.2f} s"]
            print("|", " | ".join([*cells, f"{peak:.0f} MB"]), "|", flush=True)


if __name__ == "__main__":
    main()
