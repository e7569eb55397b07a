"""The films among what `gpen restore` is given."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .flags import add_flags, with_flags

if TYPE_CHECKING:
    from ..film_options import FilmOptions
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


def run_films(arguments: argparse.Namespace, restorer: FaceRestorer, options: RestoreOptions) -> int:
    """The exit status, after restoring every film that the command line names."""
    output = Path(arguments.output)
    if len(arguments.inputs) > 1 and output.suffix:
        from ..errors import InputError

        raise InputError(f"{len(arguments.inputs)} films cannot all become {output}; give a folder")
    for name in arguments.inputs:
        source = Path(name)
        target = output if output.suffix else output / source.with_suffix(_suffix(source)).name
        _one(arguments, source, target, restorer, options)
    return 0


def _one(
    arguments: argparse.Namespace, source: Path, target: Path, restorer: FaceRestorer, options: RestoreOptions
) -> None:
    from tqdm import tqdm

    from ..images.writing import replacing
    from ..video import restore_film

    target.parent.mkdir(parents=True, exist_ok=True)
    with tqdm(unit="frame", disable=arguments.quiet, dynamic_ncols=True, file=sys.stderr) as bar:

        def moved(progress: FilmProgress) -> None:
            if bar.total != progress.frames:
                # After a resume only the new frames count for the rate.
                bar.reset(progress.frames)
            bar.update(progress.done - bar.n)

        report = restore_film(
            source,
            target,
            restorer,
            options,
            film=film_options(arguments),
            masks=arguments.film_mask,
            progress=moved,
        )
    path = Path(arguments.report) if arguments.report else target.with_name(f"{target.stem}.report.json")
    with replacing(path) as file:
        file.write(json.dumps(report.to_dict(), ensure_ascii=False, indent=1).encode())
    _say(report, path)


def _say(report: FilmReport, path: Path) -> None:
    for note in report.notes:
        print(f"gpen: {note}", file=sys.stderr)
    flicker = ""
    if report.flicker is not None and report.flicker_without_smoothing is not None:
        flicker = f", flicker {report.flicker:.2f} of 255 ({report.flicker_without_smoothing:.2f} without smoothing)"
    print(f"{report.output}: {report.frames} frames, {len(report.tracks)} faces followed{flicker}; report: {path}")


def _suffix(source: Path) -> str:
    """The source's own where films are written so, else that of MP4."""
    from ..video.writing import CONTAINERS

    return source.suffix if source.suffix.lower() in CONTAINERS else ".mp4"
