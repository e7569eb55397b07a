"""`gpen info FILE`: what a file of weights holds."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from .console import megabytes, table

if TYPE_CHECKING:
    from ..architecture import Prior

NAME = "info"
HELP = "Say what a file of weights holds: its network, its card, its hash. Names of the zoo are fetched."
EXAMPLE = "gpen info GPEN-BFR-512.pth"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="FILE", help="a path, a name in the zoo, or owner/repo[/file] on the Hub")
    parser.add_argument("--task", help="what the file is for, where it does not say so itself")
    parser.add_argument("--trust-pickle", action="store_true", help="read an unknown pickle with a torch below 2.6")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    from ..weights.location import locate

    located = locate(arguments.source)  # before torch is loaded
    from ..architecture import prior_config
    from ..errors import WeightsError
    from ..formats.onnx_model import summary
    from ..weights import GPEN
    from ..weights.cache import sha256_of
    from ..weights.checkpoint import read_prior
    from ..weights.description import shapes_of
    from ..weights.entry import ONNX
    from ..weights.tensors import read_tensors, tensors_sha256

    if located.path.suffix.lower() == ONNX and not arguments.json:
        print(f"{located.path}: {summary(located.path)}")  # also of what turns out to be no GPEN network
    found: GPEN | Prior
    try:
        found = GPEN.from_file(located, task=arguments.task, trust_pickle=arguments.trust_pickle)
    except WeightsError:
        tensors = read_tensors(located.path, trust_pickle=arguments.trust_pickle).tensors
        if prior_config(shapes_of(tensors)) is None:
            raise
        found = read_prior(located.path, trust_pickle=arguments.trust_pickle)
    path, size, config = located.path, located.path.stat().st_size, found.config
    card = found.card if isinstance(found, GPEN) else None
    larger = None if located.entry is None else located.entry.larger
    stated = None if card is None else card.details.get("sha256")
    # What a header states is of the tensors as they are stored, perhaps in half precision.
    held = read_tensors(path).tensors if stated else found.state_dict()
    content = None if card is None else tensors_sha256(held)
    parameters = sum(parameter.numel() for parameter in found.parameters())
    if arguments.json:
        facts = {"path": str(path), "bytes": size, "sha256": sha256_of(path), "tensors_sha256": content}
        facts |= {"parameters": parameters, "config": config.to_dict(), "card": card and card.to_dict()}
        facts["larger"] = larger
        told = {name: fact for name, fact in facts.items() if fact is not None}
        print(json.dumps(told, indent=2, ensure_ascii=False))
        return 0
    channels = " ".join(f"{resolution}:{count}" for resolution, count in config.channels.items())
    latent = config.options.brief(config.style_dim)
    rows = [("file", f"{path} ({megabytes(size)})"), ("sha256", sha256_of(path))]
    if card is not None:
        rows += [
            ("tensors", f"{content}{'' if stated in (None, content) else f', but its header says {stated}'}"),
            ("network", f"{config.prior}, {config.in_size} → {config.out_size} px, {parameters:,} parameters"),
            ("channels", f"{channels} ({'concatenated' if config.options.concat else 'added'} features)"),
            ("latent", latent),
            ("name", card.name),
            ("task", f"{card.task} (from the {card.details.get('card_from', 'header')})"),
            ("range", f"[{card.value_range[0]:g}, {card.value_range[1]:g}]"),
            ("template", f"{card.template}, border {card.border}"),
            ("licence", card.licence),
            ("origin", card.origin),
        ]
        if larger:
            rows.append(("and", f"{larger} for larger faces, under the same name: gpen info {larger}"))
    else:
        rows += [
            ("network", f"the prior {config.prior} alone, {config.out_size} px, {parameters:,} parameters"),
            ("channels", channels),
            ("latent", latent),
            ("options", ", ".join(f"{name} {value}" for name, value in config.options.to_dict().items())),
            ("use", f"gpen train RECIPE --prior {path.name}, with network.prior = {config.prior!r} and these channels"),
        ]
    print(table(("what", "value"), rows))
    return 0
