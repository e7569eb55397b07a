"""Peak memory of each hundred of a folder of 1,000 pictures of 1 megapixel: `python
docs/scripts/measure_folder_memory.py`.

Runs what `gpen restore` runs (decoding, detection, crops, network, pasting, encoding, report) with a small
random network and a detector that finds the middle of every picture; prints the resident set's peak per hundred
and the last over the first.
"""

import argparse
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gpen_core import GPEN, GPENConfig
from gpen_core.batch import BatchOptions, collect, restoring, run_batch
from gpen_core.faces.types import Detection
from gpen_core.options import RestoreOptions
from gpen_core.restore import FaceRestorer


def find_middle(pictures: torch.Tensor) -> list[list[Detection]]:
    """One face, in the middle, a third of the picture high."""
    height, width = pictures.shape[-2:]
    side = height / 3
    left, top = (width - side) / 2, (height - side) / 2
    points = ((0.35, 0.4), (0.65, 0.4), (0.5, 0.6), (0.38, 0.75), (0.62, 0.75))
    landmarks = torch.tensor([(left + side * x, top + side * y) for x, y in points])
    box = torch.tensor((left, top, left + side, top + side))
    return [[Detection(box=box, landmarks=landmarks)] for _ in pictures]


def resident_megabytes() -> float:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--size", type=int, default=64, help="of the network")
    arguments = parser.parse_args()
    model = GPEN(GPENConfig.standard(arguments.size, narrow=0.25)).eval()
    peak, running = [0.0], True
    peaks: list[float] = []

    def watch() -> None:
        while running:
            peak[0] = max(peak[0], resident_megabytes())
            time.sleep(0.002)

    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        for index in range(arguments.pictures):
            noise = rng.integers(0, 256, (80, 120, 3), dtype=np.uint8)
            path = Path(folder, "in", f"{index // 100}", f"{index:04}.jpg")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noise).resize((1224, 816), Image.Resampling.BICUBIC).save(path, quality=90)
        items = collect([Path(folder, "in")], Path(folder, "out"))
        watcher = threading.Thread(target=watch)
        watcher.start()
        count, start = 0, time.perf_counter()

        def finished(report: object) -> None:
            nonlocal count
            count += 1
            if count % (arguments.pictures // 10) == 0:
                peaks.append(peak[0])
                print(f"{count:5} pictures: peak {peak[0]:.0f} MB in this tenth, {time.perf_counter() - start:.0f} s")
                peak[0] = 0.0

        restorer = FaceRestorer(model, find_middle)
        options = BatchOptions(report=Path(folder, "out", "report.json"))
        summary = run_batch(items, restoring(restorer, RestoreOptions()), options, finished=finished)
        running = False
        watcher.join()
    print(f"{summary.done} done, {summary.faces} faces; last tenth over first: {peaks[-1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()
