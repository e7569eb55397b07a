"""The films among what `gpen restore` is given."""

from __future__ import annotations

import argparse
import errno
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from .console import Unread
from .flags import add_flags, with_flags
from .report_file import checked_report

if TYPE_CHECKING:
    from ..background import Upscaler
    from ..batch import Item
    from ..film_options import FilmOptions
    from ..measures.identity import Identity
    from ..measures.person import Person
    from ..options import RestoreOptions
    from ..restore import FaceRestorer
    from ..video import FilmProgress, FilmReport


def add_film(parser: argparse.ArgumentParser) -> None:
    """Adds what films need beyond pictures."""
    from ..film_options import FilmOptions

    group = parser.add_argument_group("films")
    group.add_argument("--no-smoothing", action="store_true", help="restore every frame by itself")
    add_flags(group, FilmOptions)
    group.add_argument("--film-mask", metavar="FILE", help="a film or picture, white where faces may change")


def film_options(arguments: argparse.Namespace) -> FilmOptions:
    """The options that the command line says. Raises ConfigError."""
    from ..film_options import FilmOptions

    options = with_flags(
        FilmOptions(resume=arguments.resume, overwrite=arguments.overwrite, allow_truncated=arguments.allow_truncated),
        arguments,
    )
    return replace(options, smoothing=None) if arguments.no_smoothing else options


def check_films(arguments: argparse.Namespace, films: Sequence[Item]) -> None:
    """Raises ConfigError or PictureError where the films cannot be written as the command line says."""
    from ..video.encoding import choose_codec

    options = film_options(arguments)
    for item in films:
        choose_codec(item.target, options.codec, quality=options.quality, preset=options.preset)


def refuse_without_films(arguments: argparse.Namespace) -> None:
    """Raises InputError for what is said of films."""
    from ..errors import InputError
    from ..film_options import FilmOptions
    from ..option_texts import written

    for name in ("no_smoothing", "film_mask", *written(FilmOptions, parts=False)):
        if (said := getattr(arguments, name)) is not None and said is not False:
            raise InputError(f"--{name.replace('_', '-')} is for films, and there is none here; leave it out")


def run_films(
    arguments: argparse.Namespace,
    films: Sequence[Item],
    reports: Sequence[Path],
    restorer: FaceRestorer,
    options: RestoreOptions,
    *,
    upscaler: Upscaler | None = None,
    identity: Identity | None = None,
    person: Person | None = None,
) -> int:
    """The exit status, 1 when a film failed, after restoring these; one that cannot be is named, and the others go on.

    reports: where each film's goes. upscaler, identity: of the background, and of faces, where they are asked for.
    person: whose faces are restored. Raises what concerns all of them: options that contradict themselves, PyAV not
    installed, no space left.
    """
    from ..background import Larger
    from ..errors import GPENError
    from ..video import restore_film
    from ..video.library import load_av

    load_av()
    scale, failed = arguments.upscale, 0
    restore = partial(
        restore_film,
        restorer=restorer,
        options=options,
        film=film_options(arguments),
        masks=arguments.film_mask,
        larger=Larger(scale=scale, upscaler=upscaler) if scale != 1 else None,
        identity=identity,
        person=person,
        mark=arguments.dry_run,
    )
    for item, report in zip(films, reports, strict=True):
        try:
            _one(item, report, restore, quiet=arguments.quiet)
        except (GPENError, OSError) as error:
            if getattr(error.__cause__ or error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
                raise
            failed += 1
            print(f"gpen restore: {' '.join(str(error).split())}", file=sys.stderr)
    if len(films) > 1:
        print(f"{len(films)} films{f', {failed} failed' if failed else ''}")
    return 1 if failed else 0


def film_reports(arguments: argparse.Namespace, films: Sequence[Item], *, alone: bool = True) -> list[Path]:
    """Where each film's report goes: beside its result, under its name without the suffix where that is enough.

    alone: no pictures are restored beside them; what --report says is then that of the one film. Raises InputError for
    several of that name, and where something else has it.
    """
    from ..errors import InputError

    if alone and arguments.report:
        if len(films) > 1:
            raise InputError("--report names one file; each of several films gets its own, beside its result")
        return [checked_report(Path(arguments.report), films)]
    short = [item.target.with_name(f"{item.target.stem}.report.json") for item in films]
    long = [item.target.with_name(f"{item.target.name}.report.json") for item in films]
    reports = [a if short.count(a) == 1 else b for a, b in zip(short, long, strict=True)]
    return [checked_report(report, films) for report in reports]


def _one(item: Item, report: Path, restore: Callable[..., FilmReport], *, quiet: bool) -> None:
    from tqdm import tqdm

    with tqdm(unit="frame", disable=quiet, dynamic_ncols=True, file=Unread(sys.stderr)) as bar:

        def moved(progress: FilmProgress) -> None:
            if bar.total != progress.frames:
                # After a resume only the new frames count for the rate.
                bar.reset(progress.frames)
            bar.update(progress.done - bar.n)

        done = restore(item.source, item.target, report=report, progress=moved)
    _say(done, report)


def _say(report: FilmReport, path: Path) -> None:
    from ..report import counted

    if report.frames_before == report.frames:
        print(f"{report.output}: done before; report: {path}")
        return
    for note in report.notes:
        print(f"gpen: {report.input}: {note}", file=sys.stderr)
    left = f", {len(report.spared)} left as they were" if report.spared else ""
    flicker = ""
    if report.flicker is not None and report.flicker_without_smoothing is not None:
        flicker = f", flicker {report.flicker:.2f} of 255 ({report.flicker_without_smoothing:.2f} without smoothing)"
    followed = f"{counted(report.frames, 'frame')}, {counted(len(report.tracks), 'face')} followed{left}{flicker}"
    print(f"{report.output}: {followed}; report: {path}")
