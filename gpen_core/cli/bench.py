"""`gpen bench`: speed and memory of the network on this machine."""

from __future__ import annotations

import argparse
import json

from .flags import ranged

NAME = "bench"
HELP = "Measure time a face, faces a second and peak memory, beside the plain form and a peer."
EXAMPLE = "gpen bench --size 256 512 --batch 1 4 --precision fp32 bf16 --peer onnxruntime"
COLUMNS = ("size", "batch", "form", "precision", "ms/face", "faces/s", "peak MB", "to plain")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="MODEL", nargs="?", help="a model to measure (default: random weights)")
    parser.add_argument(
        "--size", type=ranged(int, 1), nargs="+", default=[512], help="of networks with random weights (512)"
    )
    parser.add_argument("--batch", type=ranged(int, 1), nargs="+", default=[1], help="faces in one call (1)")
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"], help="fp32, tf32, bf16, fp16 (fp32 bf16)")
    parser.add_argument(
        "--form", nargs="+", default=["plain", "prepared"], help="plain, prepared, compiled, graphed (plain prepared)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, …")
    parser.add_argument("--threads", type=ranged(int, 1), help="of a CPU (default: as many as torch takes)")
    parser.add_argument("--runs", type=ranged(int, 1), default=5, help="timed calls of each form, in turn (5)")
    parser.add_argument("--no-memory", action="store_true", help="leave out the peak memory")
    parser.add_argument("--peer", nargs="+", default=[], help="onnxruntime, where it is installed")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    import torch

    from .. import __version__
    from ..bench import BenchOptions, measure, text
    from ..weights.load import choose_device, load_model
    from .console import table

    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    options = BenchOptions(
        sizes=tuple(arguments.size),
        batches=tuple(arguments.batch),
        precisions=tuple(arguments.precision),
        forms=tuple(arguments.form),
        device=str(choose_device(arguments.device)),
        runs=arguments.runs,
        memory=not arguments.no_memory,
        peers=tuple(arguments.peer),
    )
    model = None
    if arguments.source is not None:
        model = load_model(arguments.source, device=options.device, prepare=False)
    rows = list(measure(options, model))
    if arguments.json:
        where = {"gpen": __version__, "torch": torch.__version__, "threads": torch.get_num_threads()}
        print(json.dumps({**where, "rows": [row.to_dict() for row in rows]}, indent=2))
    else:
        print(table(COLUMNS, text(rows)))
    return 0
