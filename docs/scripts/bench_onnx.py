"""Times one face through ONNX Runtime, by our export and by the reference's own, beside the prepared model: one run.

    python docs/scripts/bench_onnx.py --reference PATH_TO_GPEN [--size 256 512] [--threads 2] [--rounds 9]

The same weights everywhere. All take turns; medians are printed, of wall time and of processor time (which other
programs cannot disturb on one thread), and the largest difference to our plain network.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gpen_core import GPEN
from gpen_core.architecture.prepared import prepare
from gpen_core.bench import official
from gpen_core.formats.export import to_onnx
from gpen_core.formats.onnx_model import open_session

#: ONNX Runtime's threads go on spinning for a moment, at the cost of the next call.
PAUSE = 0.3


class Picture(nn.Module):
    """The reference's network without its latents, as its users export it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: Tensor) -> Tensor:
        """(B, 3, S, S)."""
        made: Tensor = self.network(faces)[0]
        return made


def reference_network(root: Path, size: int) -> nn.Module:
    """The reference's generator with random weights, as wide as the published one of this size."""
    sys.path[:0] = [str(root), str(root / "face_model")]
    model: Any = importlib.import_module("face_model.gpen_model")
    shapes = {"channel_multiplier": 1, "narrow": 0.5} if size <= 256 else {"channel_multiplier": 2, "narrow": 1}
    torch.manual_seed(0)
    network: nn.Module = model.FullGenerator(size, 512, 8, **shapes, device="cpu").eval()
    return network


def session_call(path: Path, face: Tensor) -> Callable[[], Tensor]:
    """Runs the file by ONNX Runtime on the CPU, with as many threads as torch has."""
    session = open_session(path, ["cpu"])
    name = session.get_inputs()[0].name
    return lambda: torch.from_numpy(session.run(None, {name: face.numpy()})[0])


def calls_of(root: Path, size: int, face: Tensor, folder: Path) -> tuple[dict[str, Callable[[], Tensor]], Tensor]:
    """What is timed, by name, and what our plain network gives."""
    theirs = Picture(reference_network(root, size))
    ours = GPEN(official(size)).eval()
    ours.load_state_dict(theirs.network.state_dict())
    to_onnx(ours, folder / "ours.onnx", {})
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        # The exporter of torch's own choice: the older one, of the public files, stops at kernels of unknown shape.
        torch.onnx.export(theirs, (face,), str(folder / "theirs.onnx"), verbose=False)
        plain = ours(face)
    fast = {precision: prepare(ours, precision=precision, device=torch.device("cpu")) for precision in ("fp32", "bf16")}
    calls = {
        "prepared, bfloat16": lambda: fast["bf16"](face),
        "prepared, float32": lambda: fast["fp32"](face),
        "ONNX Runtime, our export": session_call(folder / "ours.onnx", face),
        "ONNX Runtime, the reference's export": session_call(folder / "theirs.onnx", face),
    }
    return calls, plain


def main() -> None:
    """Prints a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--size", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for size in arguments.size:
        face = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1
        with tempfile.TemporaryDirectory() as folder:
            calls, plain = calls_of(arguments.reference, size, face, Path(folder))
        errors = {name: float((call() - plain).abs().max()) for name, call in calls.items()}
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
        for _ in range(arguments.rounds):
            for name, call in calls.items():
                time.sleep(PAUSE)
                began = time.perf_counter(), time.process_time()
                call()
                times[name].append((time.perf_counter() - began[0], time.process_time() - began[1]))
        load = os.getloadavg()[0]
        print(f"\n{size} px, {arguments.threads} threads, {arguments.rounds} rounds, load {load:.1f}\n")
        print("| one face | wall ms | processor ms | difference to the plain network |\n|---|---|---|---|")
        for name, seen in times.items():
            wall, processor = (statistics.median(one[clock] for one in seen) * 1000 for clock in (0, 1))
            print(f"| {name} | {wall:.0f} | {processor:.0f} | {errors[name]:.1e} |")


if __name__ == "__main__":
    main()
