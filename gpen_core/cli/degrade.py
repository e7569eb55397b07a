"""`gpen degrade`: what training does to faces, as files and as a contact sheet."""

from __future__ import annotations

import argparse
from pathlib import Path

from .flags import ranged

NAME = "degrade"
HELP = "degrade aligned faces as training does, and show how"
EXAMPLE = "gpen degrade faces/val -o damaged --preset balanced second-order --sheet sheet.png"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("faces", type=Path, metavar="DIR", help="folder of aligned faces")
    parser.add_argument("-o", "--out", type=Path, metavar="DIR", help="write OUT/clean and OUT/PRESET, as PNG")
    parser.add_argument(
        "--preset", nargs="+", default=["balanced"], metavar="NAME", help="which damage; 'all' shows every preset"
    )
    parser.add_argument(
        "--sheet", type=Path, metavar="FILE", help="contact sheet: a row of originals, then a row for each preset"
    )
    parser.add_argument(
        "--size", type=ranged(int, 16, 4096), default=256, metavar="PIXELS", help="side of the pictures (default: 256)"
    )
    parser.add_argument(
        "--count", type=ranged(int, 1), metavar="N", help="how many faces (default: all for --out, 8 for a sheet alone)"
    )
    parser.add_argument(
        "--seed", type=ranged(int, 0, 2**63 - 1), default=0, metavar="N", help="another seed, other damage (default: 0)"
    )


def run(arguments: argparse.Namespace) -> int:
    from ..errors import ConfigError, InputError

    if arguments.sheet is not None and arguments.sheet.suffix.lower() != ".png":
        raise InputError(f"{arguments.sheet} is to be a contact sheet; expected a name that ends in .png")
    if arguments.out is None and arguments.sheet is None:
        raise ConfigError(
            "nothing to write: give --out DIR for the pictures, --sheet FILE for a contact sheet, or both"
        )
    import torch

    from ..data import PRESETS, Degradation, FaceFolder
    from ..trainer.validation import save_picture

    names = list(PRESETS) if arguments.preset == ["all"] else arguments.preset
    presets = {name: Degradation(name) for name in names}
    faces = FaceFolder(arguments.faces, arguments.size, upscale=True)
    shown = _ON_SHEET if arguments.out is None else len(faces)
    count = min(len(faces), arguments.count or shown)
    rows: dict[str, list[torch.Tensor]] = {"clean": [], **{name: [] for name in presets}}
    for index in range(count):
        clean = faces.load(index)[None].float() / 255
        pictures = {"clean": clean} | {n: d.degrade(clean, arguments.seed, [index]) for n, d in presets.items()}
        for name, picture in pictures.items():
            if arguments.out is not None:
                folder = arguments.out / name
                folder.mkdir(parents=True, exist_ok=True)
                save_picture(picture[0], folder / f"{Path(faces.entries[index].name).stem}.png")
            if len(rows[name]) < _ON_SHEET:
                rows[name].append(picture[0])
    if arguments.sheet is not None:
        arguments.sheet.parent.mkdir(parents=True, exist_ok=True)
        save_picture(torch.cat([torch.cat(row, 2) for row in rows.values()], 1), arguments.sheet)
        print(f"{arguments.sheet}: rows from the top are {', '.join(rows)}")
    if arguments.out is not None:
        print(f"{count} faces × {len(rows)} written to {arguments.out}")
    return 0


_ON_SHEET = 8
