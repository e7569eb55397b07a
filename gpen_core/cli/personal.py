"""`gpen personal PHOTO… -o DIR`: a model of one person, kept where it restores that person better."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..files import claimed, refuse_missing
from .flags import ranged
from .identity_arguments import add_person, read_identity, read_person
from .train import add_max_minutes, train_visibly

if TYPE_CHECKING:
    from ..measures.significance import Difference
    from ..personal import Album, Steps

_SURE = 0.05  # how often chance alone may look like help
_RESULT, _VERDICT = "model.safetensors", "personal.json"

NAME = "personal"
HELP = (
    "Fine-tune a model on photographs of one person (ten or more, sharp), and judge it on those that it was not "
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
    parser.add_argument(
        "--images", type=ranged(int, 1), metavar="N", help="damaged copies that it is shown (default: 1200)"
    )
    add_max_minutes(parser, "end the training after N minutes, and judge")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps, xpu")
    parser.add_argument("--fresh", action="store_true", help="begin again, as with other photographs than before")
    parser.add_argument("--keep", action="store_true", help="write the model where it does not help, or too few tell")
    add_person(parser, "judge by it", "photographs with several faces: learn this person's")


def run(arguments: argparse.Namespace) -> int:
    """0 where the model helps or --keep was given, else 1."""
    refuse_missing(arguments.inputs)
    from ..errors import InputError
    from ..weights.location import locate_one

    start, out = locate_one(arguments.model, kind="restorer").path, arguments.output
    if out.is_file():
        raise InputError(f"{out} is a file; -o names a folder")
    with claimed(out / _VERDICT):
        return _learn(arguments, start, out)


def _learn(arguments: argparse.Namespace, start: Path, out: Path) -> int:
    """As `run`, with the folder `out` to itself."""
    from .. import personal as own
    from ..batch import collect
    from ..errors import ChangedRunError, FaceError, InputError
    from ..options import RestoreOptions
    from ..trainer import Places, Sources
    from ..weights import load_detector

    if _is_foreign(out / _RESULT):
        raise InputError(f"{out / _RESULT} is there already, and not from here; name another folder with -o")
    recipe = own.recipe_for(start, arguments.images)
    plain = own.restorer_of(start, load_detector(arguments.detector, device=arguments.device), device=arguments.device)
    identity = read_identity(arguments, plain, RestoreOptions())
    person = read_person(arguments, plain, identity)
    photographs = [item.source for item in collect(arguments.inputs, out / "faces", overwrite=True)]
    album = own.cut_faces(photographs, plain, recipe.network.size, out / "faces", person, steps=_bar("faces"))
    for path, said in album.left_out.items():
        print(f"{path}: left out; {said.replace(f'{path} ', 'it ', 1)}")
    if album.judges < own.JUDGES and not arguments.keep:
        raise FaceError(
            f"{album.kept} photographs can be learned from, and {2 * own.JUDGES} are needed to tell whether a model "
            "helps; add some, or --keep writes it untold"
        )
    places = Places(data=album.train, out=out / "run")
    minutes, device = arguments.max_minutes, arguments.device
    try:
        _, stopped = train_visibly(
            recipe,
            places,
            Sources(generator=start),
            minutes=minutes,
            before=own.seen_before(start, recipe.stage),
            device=device,
            fresh=arguments.fresh,
        )
    except ChangedRunError as error:
        raise InputError(
            f"{out} was begun otherwise ({error.changed}); --fresh begins again, or name another folder with -o"
        ) from error
    if stopped:
        print(f"stopped; the same command goes on where it was, from {places.out}")
        return 1
    measure, distance = own.distance_by(identity)
    found = own.judge(
        plain, own.restorer_of(places.out / _RESULT, device=device), album, distance, steps=_bar("judging")
    )
    return 0 if conclude(out, measure, found, album, keep=arguments.keep) else 1


def conclude(folder: Path, measure: str, found: Difference, album: Album, *, keep: bool) -> bool:
    """Whether `folder`/model.safetensors is written: where the model helps by more than chance, or to `keep` it anyway.

    Says so on the terminal, and in `folder`/personal.json. What was written before stays where nothing new is.
    """
    from ..files import replacing
    from ..personal import JUDGES
    from ..weights.cache import sha256_of

    told = album.judges >= JUDGES
    verdict = {
        "measure": measure,
        "before": found.first,
        "nearer_by": found.mean,
        "interval": [found.low, found.high] if told else None,
        "p": found.p if told else None,
        "faces": album.kept,
        "held_out": album.judges,
        "left_out": {str(path): said for path, said in album.left_out.items()},
    }
    # Of a test to both sides: help is to one.
    helps = told and found.mean > 0 and found.p / 2 < _SURE
    share = (100 if found.mean > 0 else -100) / (found.first or 1.0)
    low, high = sorted((share * found.low, share * found.high))
    bounds = f"; 95 % from {low:.2f} to {high:.2f} %" if told else ""
    print(
        f"learned from {album.kept - album.judges} faces; on {album.judges} held out its {measure} to the originals is "
        f"{share * found.mean:.2f} % {'less' if found.mean > 0 else 'more'} than before ({found.first:.4f}{bounds})"
    )
    result = folder / _RESULT
    written = helps or keep
    if written:
        with replacing(result) as temporary:
            shutil.copyfile(folder / "run" / result.name, temporary)
        print(f"{result}{'' if helps else ', though it does not help' if told else ', though too few tell of it'}")
    else:
        before = "; the one from before stays" if result.exists() else ""
        print(
            "no model is written: the one that it started from serves this person as well; --keep writes it anyway"
            + before
        )
    digest = sha256_of(folder / "run" / result.name) if written else _written(folder)
    with replacing(folder / _VERDICT) as temporary:
        temporary.write_text(json.dumps({**verdict, "helps": helps, "model": digest}, indent=1), encoding="utf-8")
    return written


def _bar(what: str) -> Steps:
    """Goes through files with a bar on the terminal."""

    def steps(paths: Sequence[Path]) -> Iterable[Path]:
        from tqdm import tqdm

        bar: Iterable[Path] = tqdm(paths, what, leave=False, dynamic_ncols=True, disable=not sys.stderr.isatty())
        return bar

    return steps


def _is_foreign(model: Path) -> bool:
    """Whether there is a model that this command neither told of in its verdict, nor was about to."""
    from ..weights.cache import sha256_of

    trained = model.parent / "run" / model.name
    known = {_written(model.parent), sha256_of(trained) if trained.is_file() else None}
    return model.is_file() and sha256_of(model) not in known


def _written(folder: Path) -> str | None:
    """The hash of the model that this command wrote into `folder`."""
    try:
        found: str | None = json.loads((folder / _VERDICT).read_text(encoding="utf-8")).get("model")
    except (OSError, ValueError):
        return None
    return found
