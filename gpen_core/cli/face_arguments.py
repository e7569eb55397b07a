"""Arguments that choose networks, faces and how they are put back; shared by the verbs that work on photographs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from ..batch import Process
    from ..options import RestoreOptions, Selection


def add_networks(parser: argparse.ArgumentParser, *, model: bool = True, usual: str | None = None) -> None:
    """Adds --model, --detector, --parser, --device and --precision. usual: a model to name in help where none ships."""
    group = parser.add_argument_group(
        "networks (each a path, a name in `gpen models`, or owner/repo[/file] on the Hub)"
    )
    if model:
        shipped = "what restores; default: the open model that ships"
        group.add_argument("--model", help=f"trained for this task, such as {usual}" if usual else shipped)
        group.add_argument("--parser", help="what tells a face's parts; needed for --mask parser and --region-strength")
        group.add_argument("--precision", default="auto", help="auto, fp32, tf32, bf16 or fp16")
    group.add_argument("--detector", help="what finds faces; default: the best one on this machine")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps, xpu")
    group.add_argument("--trust-pickle", action="store_true", help="read an unknown pickle with a torch below 2.6")


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Adds what decides which faces are found and taken."""
    from ..options import Order

    group = parser.add_argument_group("which faces")
    group.add_argument("--threshold", type=float, help="least score, 0 to 1 (default 0.9)")
    group.add_argument("--min-size", type=float, metavar="PX", help="least shorter side of a face's box")
    group.add_argument("--max-size", type=float, metavar="PX", help="largest shorter side of a face's box")
    group.add_argument("--order", choices=get_args(Order), help="in which faces are counted (default: as found)")
    group.add_argument("--faces", type=_whole_numbers, metavar="0,2", help="only these, counted from 0 in that order")
    group.add_argument("--largest", type=int, metavar="N", help="at most the N largest")
    group.add_argument("--detect-size", type=int, metavar="PX", help="longest side that the detector works at")
    group.add_argument("--rotations", action="store_true", default=None, help="also find faces that lie on their side")


def add_blending(parser: argparse.ArgumentParser) -> None:
    """Adds how a face is cut out, masked and mixed in."""
    from ..options import Blend, Border, ColourMatch, FitMethod, MaskKind, Overlap, Template

    group = parser.add_argument_group("how faces are put back")
    group.add_argument("--strength", type=float, help="0 (nothing changes) to 1 (default 1)")
    group.add_argument("--face-strength", type=_numbered, metavar="0=0.5,2=0", help="of single faces")
    group.add_argument("--region-strength", type=_named, metavar="eyes=0.5,hair=0", help="of eyes, mouth, skin, hair")
    group.add_argument(
        "--mask", choices=get_args(MaskKind), help="default: by the parser where there is one, else ellipse"
    )
    group.add_argument("--margin", type=float, help="border of the crop that stays out, fraction of its side")
    group.add_argument("--feather", type=float, help="softness of the mask's edge, fraction of the crop's side")
    group.add_argument("--colour-match", choices=get_args(ColourMatch), help="adapt the face's colours (default none)")
    group.add_argument("--blend", choices=get_args(Blend), help="default alpha")
    group.add_argument("--overlap", choices=get_args(Overlap), help="where faces meet (default soft)")
    group.add_argument("--smooth-below", type=float, metavar="PX", help="smooth restored faces smaller than this")
    group.add_argument(
        "--sharpen",
        type=float,
        help="0 to 20: firmer edges where much was changed (default: the model's)",
    )
    group.add_argument("--keep-grey", action="store_true", default=None, help="faces of grey pictures stay grey")
    group.add_argument("--template", choices=get_args(Template), help="default: the model's")
    group.add_argument("--border", choices=get_args(Border), help="beyond the picture's edge (default: the model's)")
    group.add_argument("--fit", choices=get_args(FitMethod), help="landmarks to template (default least_squares)")
    group.add_argument(
        "--no-antialias", dest="antialias", action="store_false", default=None, help="sample without shrinking first"
    )
    group.add_argument("--batch-size", type=int, metavar="N", help="most faces through the network at once")
    group.add_argument(
        "--reference", action="store_true", help="as GPEN's own program does; what is said beside it still counts"
    )


#: Field of the options → name of the argument, where they differ.
_SELECTION = {
    **{name: name for name in ("threshold", "min_size", "max_size", "order", "largest", "rotations")},
    "indices": "faces",
    "longest_side": "detect_size",
}
_MASKING = {"kind": "mask", "margin": "margin", "feather": "feather"}
_BLENDING = {
    name: name
    for name in (
        *("strength", "face_strength", "region_strength", "colour_match", "blend", "overlap", "smooth_below"),
        "keep_grey",
    )
}
_WHOLE = {name: name for name in ("template", "border", "fit", "antialias", "sharpen", "batch_size")}


def options_from(arguments: argparse.Namespace) -> RestoreOptions:
    """The options that the command line says, over the defaults or over --reference. Raises ConfigError."""
    from ..options import RestoreOptions

    base = RestoreOptions.reference() if getattr(arguments, "reference", False) else RestoreOptions()
    return replace(
        base,
        selection=replace(base.selection, **_given(arguments, _SELECTION)),
        masking=replace(base.masking, **_given(arguments, _MASKING)),
        blending=replace(base.blending, **_given(arguments, _BLENDING)),
        **_given(arguments, _WHOLE),
    )


def find_process(arguments: argparse.Namespace, selection: Selection) -> Process:
    """A run that only finds faces, with the detector that the command line names."""
    from ..batch import finding
    from ..weights import load_detector

    return finding(load_detector(arguments.detector, device=arguments.device), selection)


def _given(arguments: argparse.Namespace, names: dict[str, str]) -> dict[str, Any]:
    values = {field: getattr(arguments, name, None) for field, name in names.items()}
    return {field: value for field, value in values.items() if value is not None}


def _whole_numbers(text: str) -> tuple[int, ...]:
    return tuple(_read(int, part, text) for part in text.split(","))


def _numbered(text: str) -> dict[int, float]:
    return {_read(int, key, text): value for key, value in _named(text).items()}


def _named(text: str) -> dict[str, float]:
    pairs = [part.partition("=") for part in text.split(",")]
    return {key.strip(): _read(float, value, text) for key, _, value in pairs}


def _read(kind: Callable[[str], Any], part: str, whole: str) -> Any:
    try:
        return kind(part)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{part!r} in {whole!r} is not a number") from None
