"""`gpen restore INPUT… -o DIR`: pictures, folders and films with their faces restored."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..fields import plain
from ..files import refuse_missing
from .face_arguments import (
    add_blending,
    add_networks,
    add_selection,
    detector_and_parser,
    find_process,
    finding_more,
    load_for,
    model_settings,
    occluder_of,
    options_from,
)
from .file_arguments import add_files, items_of, run_pictures
from .film import add_film, check_films, film_reports, refuse_without_films, run_films
from .flags import ranged
from .identity_arguments import add_identity, read_identity, read_person
from .mask_arguments import masks_said, read_masks

if TYPE_CHECKING:
    from ..background import Upscaler
    from ..batch import Item, Process
    from ..batch.masks import Masks
    from ..faces.types import Detection
    from ..images import Picture
    from ..images.metadata import Provenance
    from ..measures.identity import Identity
    from ..measures.person import Person
    from ..options import RestoreOptions
    from ..report import FaceFigures
    from ..restore import FaceRestorer
    from ..restore.paste import StrengthOf
    from ..weights.load import AnyModel

NAME = "restore"
HELP = (
    "Restore the faces in pictures, folders and films. All else in a picture stays as it is: size, depth, colour "
    "profile, metadata; a picture without faces is copied. A restored face is plausible, not evidence."
)
EXAMPLE = "gpen restore holiday/ -o restored/ --strength 0.8 --compare"

#: Pictures whose faces go through the network together on a device that gains by it.
_GROUP_ON_DEVICE = 8


def configure(parser: argparse.ArgumentParser) -> None:
    from ..options import LARGEST_SCALE, LEAST_TILE

    parser.usage = "gpen restore INPUT… -o OUTPUT [options]"
    add_files(parser, inputs="a picture, a film, a folder (with all it holds) or a pattern")
    group = parser.add_argument_group("what is done")
    group.add_argument("--aligned", action="store_true", help="the pictures are straightened faces, nothing else")
    group.add_argument(
        "--upscale", type=ranged(int, 1, LARGEST_SCALE), default=1, metavar="N", help="results N times as wide and high"
    )
    group.add_argument("--background", metavar="MODEL", help="upscale what is no face with this network, not plainly")
    group.add_argument(
        "--tile",
        type=ranged(int, LEAST_TILE),
        default=256,
        metavar="PX",
        help="of the background, at once (default 256)",
    )
    group.add_argument("--dry-run", action="store_true", help="only find faces, and draw them")
    group.add_argument("--compare", action="store_true", help="also write compare/: before beside after")
    group.add_argument("--save-faces", action="store_true", help="also write faces/: each crop before and after")
    group.add_argument("--page", action="store_true", help="also write report.html: before and after, to look at")
    group.add_argument("--no-provenance", action="store_true", help="do not note model and strength in the metadata")
    group.add_argument("--compile", action="store_true", help="through torch.compile: slower to start, faster then")
    add_networks(parser)
    add_selection(parser)
    add_blending(parser)
    add_identity(parser)
    add_film(parser)


def run(arguments: argparse.Namespace) -> int:
    refuse_missing(arguments.inputs)
    from ..video.inputs import collect_films

    within = read_masks(arguments)
    options = options_from(arguments)
    _refuse_contradictions(arguments)
    films, inputs = collect_films(arguments.inputs, arguments.output)
    if films:
        _refuse_for_films(arguments, masked=within is not None, alone=not inputs)
        check_films(arguments, films)  # what is wrong is said before the pictures beside the films are done
    else:
        refuse_without_films(arguments)
    reports = film_reports(arguments, films, alone=not inputs)
    status, report, restorer = 0, None, None
    if inputs or not films:
        status, report, restorer = _pictures(arguments, inputs, options, within)
    if films:
        restorer = restorer or restorer_of(arguments, options)[0]
        status = max(status, _films(arguments, films, reports, restorer, options))
    if arguments.page:
        usual = reports[0] if report is None and len(films) == 1 else Path(arguments.output) / "report.json"
        _page((report or usual).with_suffix(".html"), report, reports)
    return status


def _refuse_contradictions(arguments: argparse.Namespace) -> None:
    from ..errors import InputError

    if arguments.background and arguments.upscale == 1:
        raise InputError("--background MODEL needs --upscale N: how many times larger the results are")
    if arguments.aligned and (arguments.dry_run or arguments.detector):
        name = "--dry-run" if arguments.dry_run else "--detector"
        raise InputError(f"{name} is for photographs: no faces are looked for with --aligned; leave one of the two out")


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What is done to pictures, what is said of it in results and the report, and the networks that do it."""

    process: Process
    settings: dict[str, Any]
    restorer: FaceRestorer | None = None
    provenance: Provenance | None = None
    figures: tuple[FaceFigures, ...] = ()
    group: int = 1


def _pictures(
    arguments: argparse.Namespace, inputs: Sequence[str | Path], options: RestoreOptions, within: Masks | None
) -> tuple[int, Path, FaceRestorer | None]:
    """The status, the report's file, and the networks; None in their place where nothing was restored."""
    items = items_of(arguments, inputs)
    work = _finding(arguments, options) if arguments.dry_run else _restoring(arguments, options, within)
    status, report = run_pictures(
        arguments,
        items,
        work.process,
        work.settings,
        remedy=finding_more(options.selection),
        preview=arguments.dry_run,
        compare=arguments.compare,
        save_faces=arguments.save_faces,
        provenance=None if arguments.no_provenance else work.provenance,
        figures=work.figures,
        group=work.group,
    )
    return status, report, work.restorer


def _finding(arguments: argparse.Namespace, options: RestoreOptions) -> _Work:
    settings: dict[str, Any] = {"verb": NAME, "options": plain(options), "dry_run": True}
    meant = _who_is_meant(arguments, options, settings)
    return _Work(process=find_process(arguments, options.selection, meant), settings=settings)


def _restoring(arguments: argparse.Namespace, options: RestoreOptions, within: Masks | None) -> _Work:
    from ..measures.figures import face_figures
    from ..restore.provenance import provenance_of

    restorer, model = restorer_of(arguments, options)
    provenance = provenance_of(model, options.blending.strength)
    identity = read_identity(arguments, restorer, options)
    person = read_person(arguments, restorer, identity)
    settings: dict[str, Any] = {
        "verb": NAME,
        "options": plain(options),
        **model_settings(arguments, model, provenance),
        **{name: getattr(arguments, name) for name in ("upscale", "background", "aligned", "identity", "min_identity")},
    }
    if person is not None:
        settings["person"] = person.settings
    if within is not None:
        settings["masks"] = masks_said(arguments)
    return _Work(
        process=_process(arguments, restorer, options, _strength_of(arguments, identity, person), within),
        settings=settings,
        restorer=restorer,
        provenance=provenance,
        figures=(face_figures, *(part.figures for part in (identity, person) if part is not None)),
        group=group_for(model),
    )


def _who_is_meant(arguments: argparse.Namespace, options: RestoreOptions, settings: dict[str, Any]) -> Any:
    """What picks out the faces that a run would not leave as they are, None where it restores all; its settings are
    added.
    """
    from ..video.choice import TrackChoice

    only_damaged = options.blending.only_damaged
    if not (arguments.who or getattr(arguments, "not") or arguments.alike or only_damaged):
        return None
    restorer, _ = restorer_of(arguments, options)
    person = read_person(arguments, restorer, read_identity(arguments, restorer, options))
    if person is not None:
        settings["person"] = person.settings

    def meant(picture: Picture, faces: Sequence[Detection]) -> list[Detection]:
        numbers, crops = range(len(faces)), restorer.align(picture, faces, options).crops
        wanted = TrackChoice(person, only_damaged=only_damaged).meant([(numbers, crops)])
        return [faces[number] for number in sorted(wanted)]

    return meant


def _page(path: Path, report: Path | None, films: Sequence[Path]) -> None:
    from ..page import write_page

    write_page(path, report, films)
    print(f"page to look at: {path}")


def _films(
    arguments: argparse.Namespace,
    films: Sequence[Item],
    reports: Sequence[Path],
    restorer: FaceRestorer,
    options: RestoreOptions,
) -> int:
    identity = read_identity(arguments, restorer, options)
    person = read_person(arguments, restorer, identity)
    if arguments.dry_run:
        identity = None
    upscaler = _upscaler(arguments)
    return run_films(arguments, films, reports, restorer, options, upscaler=upscaler, identity=identity, person=person)


def _refuse_for_films(arguments: argparse.Namespace, *, masked: bool, alone: bool) -> None:
    """alone: there are no pictures, which some options are for, beside the films."""
    from ..errors import InputError

    if masked:
        raise InputError("--mask FILE and --mask-folder are for pictures; of a film, --film-mask says what may change")
    for name in ("aligned", "compare", "save_faces", "format", "min_identity"):
        flag = f"--{name.replace('_', '-')}"
        if not getattr(arguments, name):
            continue
        if alone or name in ("aligned", "min_identity"):
            raise InputError(f"{flag} is for pictures, not for films; leave it out, or the films")
        warnings.warn(f"{flag} is for pictures; the films are done without it", stacklevel=2)


def group_for(model: AnyModel) -> int:
    """How many pictures' faces go through the network together."""
    from ..contracts import device_of

    return 1 if device_of(model).type == "cpu" else _GROUP_ON_DEVICE


def restorer_of(arguments: argparse.Namespace, options: RestoreOptions | None) -> tuple[FaceRestorer, AnyModel]:
    """The networks that the command line names, and the one among them that restores."""
    from ..restore import FaceRestorer

    model = load_for(arguments, "restoration")
    occluder = occluder_of(arguments, options)
    return FaceRestorer(model, *detector_and_parser(arguments, options), occluder=occluder), model


def _strength_of(arguments: argparse.Namespace, identity: Identity | None, person: Person | None) -> StrengthOf | None:
    least = arguments.min_identity
    kept = None if identity is None or least is None else identity.keeping(least)
    return kept if person is None else person.choosing(kept)


def _process(
    arguments: argparse.Namespace,
    restorer: FaceRestorer,
    options: RestoreOptions,
    strength_of: StrengthOf | None,
    within: Masks | None,
) -> Process:
    from ..batch import restoring

    return restoring(
        restorer,
        options,
        scale=arguments.upscale,
        upscaler=_upscaler(arguments),
        aligned=arguments.aligned,
        strength_of=strength_of,
        within=within,
    )


def _upscaler(arguments: argparse.Namespace) -> Upscaler | None:
    """What makes the background larger, where the command line names it."""
    if not arguments.background:
        return None
    from ..background import load_upscaler

    return load_upscaler(
        arguments.background, device=arguments.device, tile=arguments.tile, trust_pickle=arguments.trust_pickle
    )
