"""`gpen export MODEL --to onnx -o FILE`: a model as other programs run it, with a certificate beside it."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..weights import GPEN
    from ..weights.verify import Deviation

NAME = "export"
HELP = (
    "Write a model in a form that other programs run: ONNX (input `input`, output `output`, NCHW float32 RGB in the "
    "card's range, any batch) or an AOTInductor package for C++ and Python. It is compared with the model at once: the "
    "certificate is written beside it, and an export that is off by more than 1e-3 (--half: below 45 dB) is refused."
)
EXAMPLE = "gpen export gpen-open-256 --to onnx -o gpen-open-256.onnx"

_SUFFIXES = {"onnx": ".onnx", "aoti": ".pt2"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="MODEL", help="a path, a name in the zoo, or owner/repo[/file] on the Hub")
    parser.add_argument("--to", choices=_SUFFIXES, default="onnx", help="the form (default onnx)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="ends in .onnx or .pt2")
    parser.add_argument("--half", action="store_true", help="ONNX in float16: half the size, where it is close enough")
    parser.add_argument("--task", help="what the file is for, where it does not say so itself")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it is there")
    parser.add_argument("--trust-pickle", action="store_true", help="read an unknown pickle with a torch below 2.6")


def run(arguments: argparse.Namespace) -> int:
    from ..errors import InputError, WeightsError
    from ..files import replacing, sweep
    from ..weights.location import locate_one

    target: Path = arguments.output
    if target.suffix.lower() != _SUFFIXES[arguments.to]:
        raise InputError(f"{target} must end in {_SUFFIXES[arguments.to]} for --to {arguments.to}")
    if arguments.half and arguments.to != "onnx":
        raise InputError("--half is for --to onnx")
    if target.exists() and not arguments.overwrite:
        raise WeightsError(f"{target} is there already; give another name, or --overwrite")
    sweep(target.parent)
    located = locate_one(arguments.source)  # before torch is loaded
    from ..weights import GPEN
    from ..weights.description import Header, encode
    from ..weights.tensors import tensors_sha256

    model = GPEN.from_file(located, task=arguments.task, trust_pickle=arguments.trust_pickle)
    sha256 = tensors_sha256(model.state_dict())
    metadata = encode(Header(model.config, model.card, sha256))
    with replacing(target) as temporary:
        made = temporary.with_name(temporary.name + target.suffix)  # writers look at the suffix
        try:
            found = _written(model, arguments, made, metadata)
            refused = next((deviation for deviation in found if not deviation.holds), None)
            if refused is not None:
                raise WeightsError(
                    f"the export is off by {refused.largest:.2g} ({refused.psnr:.0f} dB) in {refused.form}, more than "
                    f"it may; {'leave out --half' if arguments.half else 'upgrade torch and onnxruntime'}"
                )
            made.replace(temporary)
        finally:
            made.unlink(missing_ok=True)
    certificate = _certificate(model, arguments, sha256, found)
    beside = target.with_name(target.name + ".json")
    with replacing(beside) as temporary:
        temporary.write_text(json.dumps(certificate, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    worst = max(deviation.largest or 0.0 for deviation in found)
    print(f"{target}: {model.card.name}, {model.config.in_size} px, off by at most {worst:.1e}; certificate: {beside}")
    return 0


def _written(model: GPEN, arguments: argparse.Namespace, path: Path, metadata: dict[str, str]) -> list[Deviation]:
    """How far the file at `path`, now written, is from the model, in every provider that is here."""
    from ..formats import export, onnx_model
    from ..weights.verify import deviation_of

    if arguments.to == "aoti":
        export.to_aoti(model, path, metadata)
        return [deviation_of("aoti", "fp32", lambda faces: export.run_package(path, faces), model)]
    export.to_onnx(model, path, metadata, half=arguments.half)
    found = []
    for provider in onnx_model.installed():
        session = onnx_model.open_session(path, [provider])
        runner = onnx_model.OnnxModel(session, model.config, model.card, path)
        found.append(deviation_of(runner.form, "fp16" if arguments.half else "fp32", runner, model))
    return found


def _certificate(model: GPEN, arguments: argparse.Namespace, sha256: str, found: list[Deviation]) -> dict[str, Any]:
    import torch

    from .. import __version__
    from ..formats import export
    from ..weights import verify
    from ..weights.cache import sha256_of

    return {
        "file": arguments.output.name,
        "sha256": sha256_of(arguments.output),
        "tensors_sha256": sha256,
        "to": arguments.to,
        "opset": export.OPSET if arguments.to == "onnx" else None,
        "config": model.config.to_dict(),
        "card": model.card.to_dict(),
        "gpen": __version__,
        "torch": torch.__version__,
        "faces": {"count": verify.FACES, "seed": verify.SEED},
        "reference": "plain form, float32",
        "deviations": [deviation.to_dict() for deviation in found],
        "holds": True,
    }
