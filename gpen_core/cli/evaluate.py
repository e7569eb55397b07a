"""`gpen evaluate`: restored pictures beside their originals, in figures."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

NAME = "evaluate"
HELP = (
    "compare restored pictures with their originals: PSNR, SSIM, sharpness, detail, perceptual distance by the shipped "
    "detector's features, and more where weights are at hand"
)
EXAMPLE = "gpen evaluate restored/ faces/clean --degraded faces/balanced --lpips"


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds this verb's arguments."""
    parser.add_argument(
        "restored", type=Path, metavar="DIR", help="restored pictures; they pair with the originals by file stem"
    )
    parser.add_argument("originals", type=Path, metavar="DIR", help="the originals")
    parser.add_argument("--degraded", type=Path, metavar="DIR", help="what was restored: its figures stand beside")
    parser.add_argument(
        "--lpips", action="store_true", help="LPIPS (AlexNet) too; fetches the backbone if it is not at hand"
    )
    parser.add_argument(
        "--fid", action="store_true", help="FID too, over all pictures; fetches Inception if it is not at hand"
    )
    parser.add_argument(
        "--identity",
        type=Path,
        metavar="FILE",
        help="cosine of ArcFace embeddings; facexlib's recognition_arcface_ir_se50.pth",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the means and every picture's figures")


def run(arguments: argparse.Namespace) -> int:
    """Prints the means; 0 when every original has its partner, else 1."""
    from ..measures.evaluation import Extras, compare_folders

    extras = Extras(lpips=arguments.lpips, fid=arguments.fid, identity=arguments.identity)
    report: dict[str, Any] = {}
    complete = True
    for label, folder in (("restored", arguments.restored), ("degraded", arguments.degraded)):
        if folder is None:
            continue
        compared = compare_folders(folder, arguments.originals, extras)
        report[label] = {"means": compared.means, "pictures": compared.pictures}
        figures = "  ".join(f"{name} {value:.3f}" for name, value in compared.means.items())
        print(f"{label:9s} n={len(compared.pictures)} {figures}")
        if compared.missing:
            complete = False
            print(f"missing in {folder}: {len(compared.missing)}, for instance {', '.join(compared.missing[:3])}")
    if len(report) == 2:
        share = report["restored"]["means"]["perceptual"] / max(report["degraded"]["means"]["perceptual"], 1e-12)
        print(f"perceptual distance: {share:.3f} of the degraded's")
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(report, indent=1), encoding="utf-8")
    return 0 if complete else 1
