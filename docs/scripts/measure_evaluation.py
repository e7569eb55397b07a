"""Judges many faces: memory by tenths, what each figure costs beside the restoration, and a killed run gone on with.

    python docs/scripts/measure_evaluation.py FACES [--count 3000] [--different 60] [--size 512] [--model MODEL]

FACES: a folder of aligned faces, from which different ones are made, and damaged ones of these. They are restored by
MODEL, else by a network of that size with random weights; further ones are links to them, and all are judged by what
`gpen compare` takes. The judging is then begun anew in another process, killed halfway, and gone on with.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gpen_core import GPEN, FaceRestorer, GPENConfig
from gpen_core.architecture.prepared import prepare
from gpen_core.cli.compare import _MEASURES
from gpen_core.images.planes import resize
from gpen_core.measures.catalogue import Needs, make
from gpen_core.measures.comparing import Restorer, load_restorer, restore_folder
from gpen_core.measures.evaluation import Evaluation, Folders, evaluate
from gpen_core.measures.pairs import load, pictures_in


class Memory:
    """The resident set's peak in each tenth of a run, megabytes."""

    def __init__(self) -> None:
        self.peaks: list[float] = []
        self._peak, self._running = 0.0, True
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while self._running:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            self._peak = max(self._peak, pages * 4096 / 1e6)
            time.sleep(0.005)

    def moved(self, done: int, total: int) -> None:
        """To be called after each batch."""
        while len(self.peaks) < done * 10 // total:
            self.peaks.append(self._peak)
            self._peak = 0.0


def make_faces(source: Path, folder: Path, count: int, size: int) -> None:
    """Writes clean/ and damaged/ below `folder`."""
    paths, random = list(pictures_in(source).values()), np.random.default_rng(0)
    for kind in ("clean", "damaged"):
        (folder / kind).mkdir(parents=True)
    for index in range(count):
        face = resize(load(paths[index % len(paths)]).pixels, size).roll(index // len(paths), 3)[0]
        small = resize(resize(face[None], size // 3), size)[0]
        noisy = small.permute(1, 2, 0).numpy() * 255 + random.normal(0, 5, (size, size, 3))
        for kind, levels in (("clean", face.permute(1, 2, 0).numpy() * 255), ("damaged", noisy)):
            picture = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
            picture.save(folder / kind / f"{index:05}.png", compress_level=1)


def linked(folder: Path, there: int, count: int) -> None:
    """Gives the folder `count` pictures; those beyond the ones that are `there` are links to them."""
    for index in range(there, count):
        os.link(folder / f"{index % there:05}.png", folder / f"{index:05}.png")


def costs(folder: Path) -> dict[str, float]:
    """Milliseconds computed for a face by each measure, and by reading a result and its original."""
    sides, part = [folder / kind for kind in ("restored", "clean")], 8
    paths = [list(pictures_in(side).values())[:part] for side in sides]
    began = time.process_time()
    result, original = (torch.cat([load(path).pixels for path in side]) for side in paths)
    found = {"reading": time.process_time() - began}
    for name, measure in make(_MEASURES, Needs()).items():
        measure(result[:1], original[:1])
        began = time.process_time()
        measure(result, original)
        found[name] = time.process_time() - began
    return {name: seconds / len(result) * 1e3 for name, seconds in found.items()}


def random_restorer(size: int) -> Restorer:
    """A network of this size that restores nothing, as fast as one that does."""
    model = prepare(GPEN(GPENConfig.standard(size)).eval(), device="cpu")
    return lambda faces: FaceRestorer(model).run(resize(faces, size))


def judged(folder: Path, cache: Path, progress: Callable[[int, int], None]) -> Evaluation:
    """The figures of every face."""
    folders = Folders(results=folder / "restored", originals=folder / "clean")
    measures, lanes = make(_MEASURES, Needs()), torch.get_num_threads()
    return evaluate(folders, measures, cache=cache, revision="1 ", lanes=lanes, progress=progress)


def killed(folder: Path, cache: Path, count: int) -> int:
    """How many faces had been judged when a process that judges them all was killed."""
    child = subprocess.Popen([sys.executable, __file__, str(folder), "--judge", str(cache)])  # noqa: S603
    while not cache.exists() or (done := cache.read_bytes().count(b"\n") // len(_MEASURES)) < count // 2:
        time.sleep(0.05)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    return done


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--different", type=int, metavar="N", help="faces that are restored; others link to them")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--model")
    parser.add_argument("--judge", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.judge is not None:
        judged(arguments.faces, arguments.judge, lambda done, total: None)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder, memory = Path(temporary), Memory()
        different = min(arguments.different or arguments.count, arguments.count)
        make_faces(arguments.faces, folder, different, arguments.size)
        restorer = load_restorer(arguments.model) if arguments.model else random_restorer(arguments.size)
        began = time.perf_counter(), time.process_time()
        restore_folder(restorer, folder / "damaged", folder / "restored", made_by="one")
        restoring = time.perf_counter() - began[0], time.process_time() - began[1]
        each = costs(folder)
        for kind in ("clean", "restored"):
            linked(folder / kind, different, arguments.count)
        began = time.perf_counter(), time.process_time()
        whole = judged(folder, folder / "whole.jsonl", memory.moved)
        judging = time.perf_counter() - began[0], time.process_time() - began[1]
        done = killed(folder, folder / "cut.jsonl", arguments.count)
        again = judged(folder, folder / "cut.jsonl", lambda done, total: None)
    for name, (clock, computed), faces in (
        ("restoring", restoring, different),
        ("judging", judging, arguments.count),
    ):
        print(f"{name}: {clock / faces * 1e3:.0f} ms a face ({computed / faces * 1e3:.0f} computed)")
    print("computed for a face, ms: " + ", ".join(f"{name} {value:.1f}" for name, value in each.items()))
    print(f"memory while judging, by tenths: {', '.join(f'{peak:.0f}' for peak in memory.peaks)} MB")
    print(f"killed after {done} of {arguments.count}; gone on with, the figures are {same(whole, again)}")


def same(one: Evaluation, other: Evaluation) -> str:
    """Whether two evaluations hold the same figures, to the bit."""
    return "the same" if repr(one.pictures) == repr(other.pictures) else "OTHERS"


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
