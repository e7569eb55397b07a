"""`gpen compare MODEL…`: several models on the same aligned faces."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from .flags import ranged

NAME = "compare"
HELP = (
    "Restore the same aligned faces with several models (ours, GFPGAN and its like through spandrel, ONNX files), and "
    "judge them alike: one table, one contact sheet, every picture's figures."
)
EXAMPLE = "gpen compare gpen-open-256 GFPGANv1.4.pth --inputs faces/damaged --originals faces/clean -o compared/"
_MEASURES = ("psnr", "ssim", "ssim_basicsr", "sharpness", "detail", "perceptual", "lmd")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("models", nargs="+", metavar="MODEL", help="a path, zoo name, or file of another make")
    parser.add_argument("--inputs", type=Path, required=True, metavar="DIR", help="aligned faces to restore")
    parser.add_argument("--originals", type=Path, required=True, metavar="DIR", help="what they should be, by stem")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where all is written")
    parser.add_argument("--metric", nargs="+", default=[], metavar="NAME", help="more measures, as of gpen evaluate")
    parser.add_argument("--weights", type=Path, metavar="DIR", help="with checkpoints/, the files of metrics' networks")
    parser.add_argument(
        "--rows", type=ranged(int, 1), default=8, help="faces on the contact sheet (8), spread over all"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, …")
    parser.add_argument("--trust-pickle", action="store_true", help="open pickles that the zoo does not know")


def run(arguments: argparse.Namespace) -> int:
    import torch

    from ..measures.catalogue import Needs, make
    from ..measures.comparing import contact_sheet, load_restorer, markdown, names_of, restore_folder, when_needed
    from ..measures.evaluation import Folders, evaluate
    from ..measures.page import write_page
    from ..measures.pairs import pictures_in
    from ..measures.tables import write_csv, write_summary
    from ..weights.cache import sha256_of
    from ..weights.location import locate

    out: Path = arguments.output
    wanted = tuple(dict.fromkeys([*_MEASURES, *arguments.metric]))
    measures = make(wanted, Needs(weights=arguments.weights))
    shared = [stem for stem in pictures_in(arguments.inputs) if stem in pictures_in(arguments.originals)]
    folders = {"input": arguments.inputs}
    for name, source in names_of(arguments.models).items():
        load = partial(load_restorer, source, device=arguments.device, trust_pickle=arguments.trust_pickle)
        folders[name] = out / "results" / name
        made_by = sha256_of(locate(source).path)
        restore_folder(when_needed(load), arguments.inputs, folders[name], made_by=made_by)
    sides = {
        name: evaluate(
            Folders(results=folder, originals=arguments.originals),
            measures,
            cache=out / "figures.jsonl",
            revision=f"1 {arguments.weights or ''}",
            lanes=torch.get_num_threads(),
        )
        for name, folder in folders.items()
    }
    write_csv(out / "figures.csv", sides)
    write_summary(out / "summary.json", sides)
    table = markdown(sides)
    (out / "table.md").write_text(table, encoding="utf-8")
    shown = {**folders, "original": arguments.originals}
    rows = max(1, min(arguments.rows, len(shared)))
    contact_sheet(out / "sheet.jpg", shown, [shared[i * len(shared) // rows] for i in range(rows)])
    models = {name: side for name, side in sides.items() if name != "input"}
    write_page(out / "index.html", {**models, "input": sides["input"]}, shown, "perceptual")
    print(table, end="")
    return 0
