"""Arguments that choose networks, faces and how they are put back; shared by the verbs that work on photographs."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Literal

from .flags import add_flags, ranged, with_flags
from .mask_arguments import add_masks

if TYPE_CHECKING:
    from ..batch import Process
    from ..config import Task
    from ..contracts import Detector, Occluder, Parser
    from ..images.metadata import Provenance
    from ..options import RestoreOptions, Selection
    from ..weights.load import AnyModel

#: A threshold that finds faces which are blurred or turned away, and more false ones.
_LOWER = 0.5


def add_networks(parser: argparse.ArgumentParser, *, model: bool = True, usual: str | None = None) -> None:
    """Adds --model, --detector, --parser, --device and --precision. usual: a model to name in help where none ships."""
    group = parser.add_argument_group(
        "networks (each a path, a name in `gpen models`, or owner/repo[/file] on the Hub)"
    )
    if model:
        shipped = "what restores; default: the open models that ship, by the size of each face"
        group.add_argument("--model", help=f"trained for this task, such as {usual}" if usual else shipped)
        group.add_argument("--parser", help="what tells a face's parts; needed for --mask parser and --region-strength")
        group.add_argument("--precision", default="auto", help="auto, fp32, tf32, bf16 or fp16")
        group.add_argument(
            "--fidelity",
            type=ranged(float, 0, 1),
            metavar="0-1",
            help="CodeFormer's weight: 0 the most beautiful, 1 the most faithful (default 0.5)",
        )
        group.add_argument(
            "--provider",
            nargs="+",
            metavar="NAME",
            help="what ONNX Runtime computes with, for an .onnx model: cuda, tensorrt, openvino, coreml, directml, cpu",
        )
    group.add_argument("--detector", help="what finds faces; default: the best one on this machine")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps, xpu")
    group.add_argument("--trust-pickle", action="store_true", help="read an unknown pickle with a torch below 2.6")


def load_for(arguments: argparse.Namespace, task: Task) -> AnyModel:
    """The model that the command line names. Raises InputError where it names none and none for `task` ships,
    WeightsError where it was trained for another task."""
    from ..errors import InputError
    from ..tasks import check_task
    from ..weights import load_model

    if arguments.model is None and task != "restoration":
        raise InputError(f"no model for {task} ships; name one with --model (`gpen models` lists those that are known)")
    model = load_model(
        arguments.model,
        device=arguments.device,
        precision=arguments.precision,
        providers=arguments.provider,
        fidelity=arguments.fidelity,
        compile=getattr(arguments, "compile", False),
        trust_pickle=arguments.trust_pickle,
    )
    check_task(model, task)
    return model


def detector_and_parser(
    arguments: argparse.Namespace, options: RestoreOptions | None = None
) -> tuple[Detector | None, Parser | None]:
    """Those that the command line names; no detector for aligned faces, no parser where none is named and `options`
    need none: one that they need is fetched now, not anew for each picture."""
    from ..weights import load_detector, load_parser

    needed = options is not None and options.needs_parser and not getattr(arguments, "dry_run", False)
    parser = load_parser(arguments.parser, device=arguments.device) if arguments.parser or needed else None
    detector = None if arguments.aligned else load_detector(arguments.detector, device=arguments.device)
    return detector, parser


def occluder_of(
    arguments: argparse.Namespace, options: RestoreOptions | None
) -> Occluder | Literal["contradiction"] | None:
    """What tells what covers a face, where the command line names it. options: None where each request has its own.

    Raises InputError where nobody would ask it.
    """
    from ..errors import InputError
    from ..faces.occlusion import CONTRADICTION
    from ..weights import load_occluder

    if not arguments.occluder:
        return None
    if options is not None and not options.masking.occlusion:
        raise InputError("--occluder MODEL needs --occlusion: it tells what covers a face and stays")
    if arguments.occluder == CONTRADICTION:
        return CONTRADICTION
    return load_occluder(arguments.occluder, device=arguments.device)


def model_settings(arguments: argparse.Namespace, model: AnyModel, told: Provenance) -> dict[str, Any]:
    """What results depend on, as the report has it, of the networks."""
    from ..weights.zoo import OPEN_OCCLUDER

    about = {"model": told.model, "sha256": told.sha256, "precision": arguments.precision}
    if getattr(arguments, "occlusion", None):
        about["occluder"] = getattr(arguments, "occluder", None) or OPEN_OCCLUDER
    return {**about, "fidelity": arguments.fidelity, "form": model.form}


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Adds what decides which faces are found and taken."""
    from ..options import Selection

    add_flags(parser.add_argument_group("which faces"), Selection)


def add_blending(parser: argparse.ArgumentParser) -> None:
    """Adds how a face is cut out, masked and mixed in."""
    from ..options import Blending, Masking, RestoreOptions

    group = parser.add_argument_group("how faces are put back")
    add_flags(group, Blending)
    add_masks(group)
    add_flags(group, Masking, but=("kind",))
    add_flags(group, RestoreOptions)
    add_occluder(group)
    group.add_argument(
        "--reference", action="store_true", help="as GPEN's own program does; what is said beside it still counts"
    )


def add_occluder(group: argparse._ActionsContainer) -> None:
    """Adds the network that `occluder_of` loads."""
    group.add_argument(
        "--occluder",
        metavar="MODEL",
        help="what tells --occlusion what covers a face: a network, or contradiction (whatever the restored face shows "
        "otherwise); default: gpen-open-occluder, which ships",
    )


def options_from(arguments: argparse.Namespace) -> RestoreOptions:
    """The options that the command line says, over the defaults or over --reference. Raises ConfigError."""
    from ..options import RestoreOptions

    base = RestoreOptions()
    if getattr(arguments, "reference", False):
        base = RestoreOptions.reference(aligned=getattr(arguments, "aligned", False))
    return with_flags(base, arguments)


def finding_more(selection: Selection) -> str:
    """What a user may try where no face was found."""
    tries = [] if selection.rotations else ["--rotations"]
    if selection.threshold > _LOWER:
        tries.append(f"--threshold {_LOWER:g}")
    if selection.min_size > 0:
        tries.append("no --min-size")
    return " or ".join(tries or ["another --detector"])


def find_process(arguments: argparse.Namespace, selection: Selection, meant: Any = None) -> Process:
    """A run that only finds faces, with the detector that the command line names. meant: see `finding`."""
    from ..batch import finding
    from ..weights import load_detector

    return finding(load_detector(arguments.detector, device=arguments.device), selection, meant)
