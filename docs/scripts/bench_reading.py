"""Reads faces from shards beside a folder of the same files: python docs/scripts/bench_reading.py [--count 400]

Prints pictures a second at 256, 512 and 1024 px, one process, the two in turns, from warm files; and how long a set of
70,000 entries takes to its first sample.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from gpen_core.data import FaceFolder
from gpen_core.data.shards import INDEX, write_shards

ENTRIES = 70_000


def make(folder: Path, count: int, size: int) -> None:
    """Soft noise, which takes about as many bytes as a face."""
    source = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        coarse = Image.fromarray(source.integers(0, 256, (size // 4, size // 4, 3), dtype=np.uint8))
        coarse.resize((size, size), Image.Resampling.BICUBIC).save(folder / f"{number:06d}.png", compress_level=1)


def seconds(faces: FaceFolder, order: list[int]) -> float:
    """To load all of `order`."""
    began = time.perf_counter()
    for index in order:
        faces.load(index)
    return time.perf_counter() - began


def main() -> None:
    """Prints a row for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    write = sys.stdout.write
    with tempfile.TemporaryDirectory() as place:
        for size in (256, 512, 1024):
            count = max(20, options.count * 256 // size)
            files, shards = Path(place) / f"files-{size}", Path(place) / f"shards-{size}"
            make(files, count, size)
            write_shards(files, shards, shard_bytes=50_000_000)
            order = np.random.default_rng(1).permutation(count).tolist()
            sets = {"folder": FaceFolder(files, size), "shards": FaceFolder(shards, size)}
            taken: dict[str, list[float]] = {name: [] for name in sets}
            for _ in range(options.repeats + 1):
                for name, faces in sets.items():
                    taken[name].append(seconds(faces, order))
            rates = {name: count / statistics.median(times[1:]) for name, times in taken.items()}
            ratio = rates["shards"] / rates["folder"]
            write(f"{size:5d} px: folder {rates['folder']:7.1f}/s, shards {rates['shards']:7.1f}/s, {ratio:.2f}x\n")
        index = json.loads((shards / INDEX).read_text())
        shard = index["shards"]["faces-000000.tar"]["pictures"]
        index["shards"]["faces-000000.tar"]["pictures"] = [[f"{n}.png", *shard[0][1:]] for n in range(ENTRIES)]
        (shards / INDEX).write_text(json.dumps(index))
        began = time.perf_counter()
        FaceFolder(shards, 1024).load(0)
        write(f"{ENTRIES:,} entries: first sample after {time.perf_counter() - began:.2f} s\n")


if __name__ == "__main__":
    main()
