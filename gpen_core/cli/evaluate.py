"""`gpen evaluate`: restored pictures beside their originals, in figures."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .flags import ranged

if TYPE_CHECKING:
    from ..measures.catalogue import Call
    from ..measures.evaluation import Evaluation, FrechetReference
    from ..measures.protocols import Protocol

NAME = "evaluate"
HELP = (
    "Judge restored pictures beside their originals, or alone: PSNR, SSIM, sharpness, detail, perceptual distance by "
    "the shipped detector's features, and more where weights are at hand, by picture and in sum."
)
EXAMPLE = "gpen evaluate restored/ faces/clean --degraded faces/balanced -o judged/"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "restored", type=Path, nargs="?", metavar="DIR", help="restored pictures; all pair by file stem"
    )
    parser.add_argument(
        "originals", type=Path, nargs="?", metavar="ORIGINALS", help="the originals, where there are any"
    )
    parser.add_argument("--degraded", type=Path, metavar="DIR", help="what was restored: its figures stand beside")
    parser.add_argument(
        "--against", type=Path, metavar="DIR", help="another model's results, compared picture by picture"
    )
    parser.add_argument(
        "--protocol",
        default="folder",
        metavar="NAME",
        help="celeba-test, lfw, webphoto, wider, celebchild, or folder (the default): measures, sizes, FID and gate",
    )
    parser.add_argument(
        "--metric", nargs="+", default=[], metavar="NAME", help="more measures; `--metric help` lists them"
    )
    parser.add_argument("--lpips", action="store_true", help="short for --metric lpips")
    parser.add_argument("--fid", action="store_true", help="FID too, against the originals or --fid-statistics")
    parser.add_argument(
        "--fid-statistics", type=Path, metavar="FILE", help="of FFHQ-512: .npz or .pth; a folder of pictures makes one"
    )
    parser.add_argument(
        "--identity", type=Path, metavar="FILE", help="short for --metric identity, by this recognition network"
    )
    parser.add_argument(
        "--gate",
        type=ranged(float, -1, 1),
        metavar="COS",
        help="name results whose identity to the input is below it (needs --degraded)",
    )
    parser.add_argument("--weights", type=Path, metavar="DIR", help="with checkpoints/, the files of metrics' networks")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="write figures.csv, summary.json, index.html")
    parser.add_argument("--parquet", action="store_true", help="figures.parquet too (needs pyarrow)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the means and every picture's figures")


def run(arguments: argparse.Namespace) -> int:
    """Prints the means; 0 when every original has its partner and no more than ten results fail the gate, else 1."""
    from ..errors import InputError
    from ..measures.protocols import protocol

    if "help" in arguments.metric:
        return _list_measures()
    if arguments.restored is None:
        raise InputError("name the folder of results: gpen evaluate RESTORED ORIGINALS")
    chosen = protocol(arguments.protocol)
    if arguments.gate and arguments.degraded is None:
        raise InputError("--gate compares results with their inputs; give them with --degraded DIR")
    if chosen.originals and arguments.originals is None:
        raise InputError(f"protocol {arguments.protocol} needs the originals: gpen evaluate RESTORED ORIGINALS")
    gate = chosen.gate if arguments.gate is None else arguments.gate
    gated = bool(gate) and arguments.degraded is not None
    folders = {"restored": arguments.restored, "against": arguments.against, "degraded": arguments.degraded}
    measures = _measures(arguments, chosen, gated)
    sides = {
        # the inputs are not held against themselves
        side: _judge(arguments, chosen, measures, folder, gated and side != "degraded")
        for side, folder in folders.items()
        if folder is not None
    }
    complete = True
    for side, compared in sides.items():
        figures = "  ".join(f"{name} {value:.3f}" for name, value in compared.means.items())
        print(f"{side:9s} n={len(compared.pictures)} {figures}")
        for note in compared.notes[:3]:
            print(f"note: {note}")
        if len(compared.notes) > 3:
            print(f"note: and {len(compared.notes) - 3} more such pairs")
        if compared.missing:
            complete = False
            print(
                f"missing in {folders[side]}: {len(compared.missing)}, for instance {', '.join(compared.missing[:3])}"
            )
    if chosen.count and len(sides["restored"].pictures) != chosen.count:
        print(f"note: {arguments.protocol} has {chosen.count} pictures, not {len(sides['restored'].pictures)}")
    _say_differences(sides)
    _write(arguments, sides, folders)
    failed = _failing(gate, sides["restored"])
    return 0 if complete and len(failed) <= 10 else 1


def _list_measures() -> int:
    from ..measures.catalogue import MEASURES

    for name, measure in MEASURES.items():
        print(f"{name:18s} {measure.about}" + (f"; needs {measure.needs}" if measure.needs else ""))
    return 0


def _measures(arguments: argparse.Namespace, chosen: Protocol, gated: bool) -> dict[str, Call]:
    """What is asked for; of the protocol's own measures those whose weights are at hand, the others named."""
    from ..errors import HubError, MissingPackageError
    from ..measures.catalogue import Needs, make

    needs = Needs(weights=arguments.weights, arcface=arguments.identity)
    asked = [*arguments.metric, *["lpips"] * arguments.lpips, *["identity"] * (arguments.identity is not None)]
    optional = list(chosen.measures)
    (optional if arguments.gate is None else asked).extend(["identity_to_input"] * gated)
    measures: dict[str, Call] = {}
    for name in optional:
        try:
            measures |= make((name,), needs)
        except (HubError, MissingPackageError) as error:
            print(f"left out: {name}: {error}")
    return measures | make(tuple(asked), needs)


def _judge(
    arguments: argparse.Namespace, chosen: Protocol, measures: dict[str, Call], folder: Path, gated: bool
) -> Evaluation:
    import torch
    from tqdm import tqdm

    from ..measures.evaluation import Folders, evaluate

    with tqdm(desc=folder.name, unit="picture", leave=False, disable=not sys.stderr.isatty()) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return evaluate(
            Folders(results=folder, originals=arguments.originals, inputs=arguments.degraded if gated else None),
            {name: call for name, call in measures.items() if gated or name != "identity_to_input"},
            size=chosen.size,
            cache=None if arguments.output is None else arguments.output / "figures.jsonl",
            revision=f"1 {arguments.weights or ''} {arguments.identity or ''}",
            frechet=_frechet(arguments) if arguments.fid or (chosen.fid and arguments.fid_statistics) else None,
            lanes=torch.get_num_threads(),
            progress=progress,
        )


def _frechet(arguments: argparse.Namespace) -> FrechetReference:
    from ..errors import InputError
    from ..measures.evaluation import FrechetReference
    from ..measures.frechet import inception, of_folder, read_statistics

    against = arguments.fid_statistics or arguments.originals
    if against is None:
        raise InputError("FID is taken against --fid-statistics FILE (of FFHQ-512), or against originals")
    features = inception(arguments.weights)
    statistics = of_folder(against, features) if against.is_dir() else read_statistics(against)
    return FrechetReference(features=features, statistics=statistics)


def _say_differences(sides: dict[str, Evaluation]) -> None:
    from ..measures.tables import differences

    if "degraded" in sides and "perceptual" in sides["degraded"].means:
        share = sides["restored"].means["perceptual"] / max(sides["degraded"].means["perceptual"], 1e-12)
        print(f"perceptual distance: {share:.3f} of the degraded's")
    if "against" in sides:
        for name, found in differences(sides["restored"], sides["against"]).items():
            print(
                f"restored - against: {name} {found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}] p={found.p:.4f} "
                f"n={found.count}"
            )


def _failing(gate: float, restored: Evaluation) -> list[str]:
    """The results whose identity to the input is below the gate, printed."""
    failed = [stem for stem, row in restored.pictures.items() if row.get("identity_to_input", 1.0) < gate]
    if failed:
        print(
            f"below the gate of {gate:g}: {len(failed)} (ten fail a submission), for instance {', '.join(failed[:3])}"
        )
    return failed


def _write(arguments: argparse.Namespace, sides: dict[str, Evaluation], folders: dict[str, Path | None]) -> None:
    from ..measures.page import write_page
    from ..measures.tables import write_csv, write_parquet, write_summary

    if arguments.output is not None:
        write_csv(arguments.output / "figures.csv", sides)
        write_summary(arguments.output / "summary.json", sides)
        if arguments.parquet:
            write_parquet(arguments.output / "figures.parquet", sides)
        shown = {"degraded": folders["degraded"], "restored": folders["restored"], "original": arguments.originals}
        names = next(iter(sides["restored"].pictures.values()), {})
        by = next((name for name in ("perceptual", "lpips", *names) if name in names), "psnr")
        write_page(arguments.output / "index.html", sides, {k: v for k, v in shown.items() if v is not None}, by)
    if arguments.json is not None:
        report: dict[str, Any] = {side: {"means": e.means, "pictures": e.pictures} for side, e in sides.items()}
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(report, indent=1), encoding="utf-8")
