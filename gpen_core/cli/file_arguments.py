"""Arguments about the pictures themselves: what is read, where and how results are written, and how a run is
watched."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .console import Unread
from .flags import ranged
from .report_file import checked_report

if TYPE_CHECKING:
    from ..batch import BatchOptions, BatchSummary, Item, Process
    from ..report import PictureReport

#: What --format takes → the suffix of results.
SUFFIXES = {
    "jpg": ".jpg",
    "png": ".png",
    "webp": ".webp",
    "tiff": ".tif",
    "bmp": ".bmp",
    "avif": ".avif",
    "heif": ".heic",
}

#: From a thousand pixels to more than any picture has.
_MEGAPIXELS = (0.001, 100_000)


def add_files(
    parser: argparse.ArgumentParser, *, inputs: str = "a picture, a folder (with all it holds) or a pattern"
) -> None:
    """Adds INPUT…, --output and everything about reading and writing."""
    parser.add_argument("inputs", metavar="INPUT", nargs="+", help=inputs)
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        help="a folder (made if need be), or for one picture a file's name: it ends as pictures do, such as .png "
        "(a name that ends with / is a folder's)",
    )
    group = parser.add_argument_group("files")
    add_formats(group)
    group.add_argument("--overwrite", action="store_true", help="results may take the place of their own inputs")
    group.add_argument("--resume", action="store_true", help="skip what an earlier, interrupted run has done")
    group.add_argument(
        "--report", metavar="FILE", help="where the report goes (default: report.json among the results)"
    )
    group.add_argument("--pages", action="store_true", help="all pictures of files that hold several, not the first")


def add_formats(group: argparse._ArgumentGroup) -> None:
    """Adds how pictures are read and written, and whether a bar tells of it."""
    group.add_argument("--format", choices=SUFFIXES, help="of results (default: each picture's own)")
    group.add_argument(
        "--quality",
        type=ranged(int, 1, 100),
        metavar="1-100",
        help="of JPEG, WebP, AVIF (default: as the input was written)",
    )
    add_max_pixels(group, 500)
    group.add_argument("--allow-truncated", action="store_true", help="use what decodes of damaged pictures")
    group.add_argument("--quiet", action="store_true", help="no progress bar")


def add_max_pixels(group: argparse._ActionsContainer, usual: float) -> None:
    """Adds --max-pixels, in millions. usual: where it is not said."""
    told = f"refuse larger pictures, of more than so many million pixels (default {usual:g})"
    group.add_argument("--max-pixels", type=ranged(float, *_MEGAPIXELS), default=usual, metavar="MP", help=told)


def items_of(arguments: argparse.Namespace, inputs: Sequence[str | Path] | None = None) -> list[Item]:
    """The pictures among `inputs` (None: all that the command line names), and where each result goes."""
    from ..batch import collect

    return collect(
        arguments.inputs if inputs is None else inputs,
        arguments.output,
        suffix=SUFFIXES[arguments.format] if arguments.format else None,
        overwrite=arguments.overwrite,
        pages=arguments.pages,
    )


def batch_options(
    arguments: argparse.Namespace, *, report: Path, settings: Mapping[str, Any], **other: Any
) -> BatchOptions:
    """The run's options, from what `add_files` added; `other` are further fields."""
    from ..batch import BatchOptions

    return BatchOptions(
        report=report,
        settings=settings,
        resume=arguments.resume,
        overwrite=arguments.overwrite,
        quality=arguments.quality,
        max_pixels=round(arguments.max_pixels * 1e6),
        allow_truncated=arguments.allow_truncated,
        **other,
    )


def _report_path(arguments: argparse.Namespace, items: Sequence[Item]) -> Path:
    """What --report says, else beside the one result, else report.json in the folder of results. Raises InputError
    where that is no place for it."""
    output = Path(arguments.output)
    if arguments.report:
        report = Path(arguments.report)
    elif len(items) == 1 and items[0].target == Path(os.path.abspath(output)):
        report = output.with_name(f"{output.stem}.report.json")
    else:
        report = output / "report.json"
    return checked_report(report, items)


def run_pictures(
    arguments: argparse.Namespace,
    items: Sequence[Item],
    process: Process,
    settings: Mapping[str, Any],
    *,
    remedy: str,
    **other: Any,
) -> tuple[int, Path]:
    """(the exit status, 1 when a picture failed; the report), after doing these pictures and saying how it ended.

    settings: what results depend on. remedy: what might find faces where none was found. other: of BatchOptions.
    """
    from ..batch import run_batch

    report = _report_path(arguments, items)
    batch = batch_options(arguments, report=report, settings={**settings, "quality": arguments.quality}, **other)

    def run(**told: Any) -> BatchSummary:
        return run_batch(items, process, batch, **told)

    summary = with_progress(run, len(items), quiet=arguments.quiet)
    return conclude(summary, report, aligned=getattr(arguments, "aligned", False), remedy=remedy), report


def with_progress(run: Callable[..., BatchSummary], total: int, *, quiet: bool) -> BatchSummary:
    """Does a run with a progress bar on stderr: pictures done, time left, faces a second; failures as they happen.

    run: takes `finished` and `skipped`, as `run_batch` does.
    """
    from tqdm import tqdm

    faces = 0
    said = Unread(sys.stderr)
    with tqdm(total=total, unit="picture", disable=quiet, dynamic_ncols=True, file=said) as bar:

        def finished(report: PictureReport) -> None:
            nonlocal faces
            faces += len(report.faces)
            seconds = bar.format_dict["elapsed"]
            bar.set_postfix_str(f"{faces} faces, {faces / seconds:.2f} faces/s" if seconds else "", refresh=False)
            bar.update()
            if report.status == "failed":
                bar.write(f"gpen: {report.failure}", file=said)

        return run(finished=finished, skipped=bar.update)


def conclude(
    summary: BatchSummary, report: Path | str, *, aligned: bool = False, remedy: str = "", pages: bool = True
) -> int:
    """The exit status, 1 when a picture failed, after saying how the run ended. aligned: each picture is a face.
    remedy: what might find faces where none was found. pages: whether the verb has --pages."""
    from ..report import counted

    done = [("aligned face", summary.done)] if aligned else [("picture", summary.done), ("face", summary.faces)]
    parts = [counted(number, noun) for noun, number in done]
    if summary.faceless and not aligned:
        parts.append(f"{summary.faceless} without a face" + (f" ({remedy} might find one)" if remedy else ""))
    if summary.faces_left:
        left = f"{summary.faces_left} left as found, larger than the model and sound"
        parts.append(f"{left} (--no-keep-detail: restored)")
    if summary.faces_spared:
        parts.append(f"{summary.faces_spared} not to be restored, by the options")
    if summary.skipped:
        parts.append(f"{summary.skipped} done before")
    if summary.failed:
        parts.append(f"{len(summary.failed)} failed")
    if summary.pages_left:
        holds = "holds" if summary.pages_left == 1 else "hold"
        several = f"of {counted(summary.pages_left, 'file')} that {holds} several pictures the first"
        parts.append(f"{several} (--pages: all)" if pages else several)
    print(f"{', '.join(parts)}; report: {report}")
    return 1 if summary.failed else 0
