"""`gpen degrade`: what training does to faces, as files and as a contact sheet."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

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
    if arguments.out is not None and arguments.out.resolve().is_relative_to(arguments.faces.resolve()):
        raise InputError(f"{arguments.out} lies within {arguments.faces}, whose faces it would be one of; name another")
    import torch

    from ..data import PRESETS, Degradation, FaceFolder
    from ..trainer.validation import save_picture

    names = list(PRESETS) if arguments.preset == ["all"] else arguments.preset
    presets = {name: Degradation(name) for name in names}
    faces = FaceFolder(arguments.faces, arguments.size, upscale=True)
    if faces.unreadable:
        print(f"left out, as they cannot be read: {', '.join(faces.unreadable)}")
    files = _names([entry.name for entry in faces.entries])
    shown = _ON_SHEET if arguments.out is None else len(faces)
    count = min(len(faces), arguments.count or shown)
    rows: dict[str, list[torch.Tensor]] = {"clean": [], **{name: [] for name in presets}}
    done = 0
    for index in range(len(faces)):
        if done == count:
            break
        face, entry = faces.load_with_entry(index)
        if entry is not faces.entries[index]:  # damaged; the next would stand under its name
            continue
        done += 1
        clean = face[None].float() / 255
        pictures = {"clean": clean} | {n: d.degrade(clean, arguments.seed, [index]) for n, d in presets.items()}
        for name, picture in pictures.items():
            if arguments.out is not None:
                folder = arguments.out / name
                folder.mkdir(parents=True, exist_ok=True)
                save_picture(picture[0], folder / files[index])
            if len(rows[name]) < _ON_SHEET:
                rows[name].append(picture[0])
    if arguments.sheet is not None:
        arguments.sheet.parent.mkdir(parents=True, exist_ok=True)
        save_picture(torch.cat([torch.cat(row, 2) for row in rows.values()], 1), arguments.sheet)
        print(f"{arguments.sheet}: rows from the top are {', '.join(rows)}")
    if arguments.out is not None:
        print(f"{done} faces × {len(rows)} written to {arguments.out}")
    return 0


def _names(faces: Sequence[str]) -> list[str]:
    """A name for each face's results, no two alike: its own, or its whole path where others have that, too."""
    stems = Counter(PurePosixPath(face).stem for face in faces)
    names: list[str] = []
    taken: set[str] = set()
    for face in map(PurePosixPath, faces):
        name = face.stem if stems[face.stem] == 1 else "_".join(face.parts)
        while name in taken:
            name += "_"
        taken.add(name)
        names.append(f"{name}.png")
    return names


_ON_SHEET = 8
