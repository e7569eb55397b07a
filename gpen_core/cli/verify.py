"""`gpen verify MODEL`: a certificate as JSON."""

from __future__ import annotations

import argparse
import json

NAME = "verify"
HELP = "Certify a model: its hash, its configuration, and the errors of each form and precision against float64."
EXAMPLE = "gpen verify GPEN-BFR-512.safetensors --precision fp32 bf16 > certificate.json"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="MODEL", help="a path, a name in the zoo, or owner/repo[/file] on the Hub")
    parser.add_argument("--precision", nargs="+", default=["fp32", "bf16"], help="fp32, tf32, bf16, fp16 (fp32 bf16)")
    parser.add_argument("--device", default="cpu", help="where the forms run (cpu); float64 always runs on the CPU")
    parser.add_argument("--task", help="what the file is for, where it does not say so itself")
    parser.add_argument("--trust-pickle", action="store_true", help="read an unknown pickle with a torch below 2.6")


def run(arguments: argparse.Namespace) -> int:
    """0, or 1 when a form is further off than it promises; prints the certificate."""
    from ..weights.location import locate_one

    located = locate_one(arguments.source)  # before torch is loaded
    import torch

    from .. import __version__
    from ..weights import GPEN, verify
    from ..weights.cache import sha256_of
    from ..weights.load import choose_device
    from ..weights.tensors import tensors_sha256

    device = choose_device(arguments.device)
    model = GPEN.from_file(located, task=arguments.task, trust_pickle=arguments.trust_pickle).eval()
    content = tensors_sha256(model.state_dict())
    found = verify.deviations(model, precisions=arguments.precision, device=device)
    certificate = {
        "file": located.path.name,
        "bytes": located.path.stat().st_size,
        "sha256": sha256_of(located.path),
        "tensors_sha256": content,
        "config": model.config.to_dict(),
        "card": model.card.to_dict(),
        "gpen": __version__,
        "torch": torch.__version__,
        "device": str(device),
        "faces": {"count": verify.FACES, "seed": verify.SEED},
        "reference": "plain form, float64",
        "deviations": [deviation.to_dict() for deviation in found],
        "holds": all(deviation.holds for deviation in found),
    }
    print(json.dumps(certificate, indent=2, ensure_ascii=False))
    return 0 if certificate["holds"] else 1
