"""`gpen personal PHOTO… -o DIR`: a model of one person, kept where it restores that person better."""

from __future__ import annotations

import argparse
from pathlib import Path

from .identity_arguments import add_person, read_identity, read_person
from .train import train_visibly

NAME = "personal"
HELP = (
    "Fine-tune a model on photographs of one person (three or more, sharp), and judge it on those that it was not "
    "shown. It is written only where it brings them nearer to their originals than the model it started from."
)
EXAMPLE = "gpen personal mother/*.jpg -o mother-model && gpen restore old.jpg -o new.jpg --model mother-model"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", metavar="PHOTO", nargs="+", help="photographs of the person, or folders of them")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="DIR", help="where model.safetensors goes")
    parser.add_argument(
        "--model",
        default="gpen-open-256",
        help="what it starts from: a path or a name; gpen-open-512 for large faces, at four times the time",
    )
    parser.add_argument("--detector", help="what finds faces; default: the best one on this machine")
    parser.add_argument("--images", type=int, metavar="N", help="damaged copies that it is shown (default: 1200)")
    parser.add_argument("--max-minutes", type=float, metavar="N", help="end the training after N minutes, and judge")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps, xpu")
    parser.add_argument("--fresh", action="store_true", help="begin again, as with other photographs than before")
    parser.add_argument("--keep", action="store_true", help="write the model even where it does not help")
    add_person(parser, "judge by it", "photographs with several faces: learn this person's")


def run(arguments: argparse.Namespace) -> int:
    """0 where the model helps or --keep was given, else 1."""
    from .. import personal as own
    from ..batch import collect
    from ..errors import InputError
    from ..options import RestoreOptions
    from ..trainer import Places, Sources
    from ..weights import load_detector
    from ..weights.hub import locate

    start, out = locate(arguments.model, kind="restorer").path, arguments.output
    if out.is_file():
        raise InputError(f"{out} is a file; -o names a folder")
    recipe = own.recipe_for(start, arguments.images)
    plain = own.restorer_of(start, load_detector(arguments.detector, device=arguments.device), device=arguments.device)
    identity = read_identity(arguments, plain, RestoreOptions())
    person = read_person(arguments, plain, identity)
    photographs = [item.source for item in collect(arguments.inputs, out / "faces", overwrite=True)]
    album = own.cut_faces(photographs, plain, recipe.network.size, out / "faces", person)
    for path, said in album.left_out.items():
        print(f"{path}: left out; {said}")
    places = Places(data=album.train, out=out / "run")
    minutes, device = arguments.max_minutes, arguments.device
    _, stopped = train_visibly(
        recipe, places, Sources(generator=start), minutes=minutes, device=device, fresh=arguments.fresh
    )
    if stopped:
        print(f"stopped; the same command goes on where it was, from {places.out}")
        return 1
    measure, distance = own.distance_by(identity)
    found = own.judge(plain, own.restorer_of(places.out / "model.safetensors", device=device), album, distance)
    return 0 if own.conclude(out, measure, found, album, keep=arguments.keep) else 1
