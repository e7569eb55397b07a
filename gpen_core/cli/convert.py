"""`gpen convert IN OUT`: any GPEN file to one self-describing safetensors file."""

from __future__ import annotations

import argparse
import warnings
from dataclasses import replace
from pathlib import Path

NAME = "convert"
HELP = "Write the network of a file, safely read and checked, as one safetensors file that describes itself."
EXAMPLE = "gpen convert GPEN-BFR-512.pth gpen-bfr-512.safetensors"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="IN", help="a path, a name in the zoo, or owner/repo[/file] on the Hub")
    parser.add_argument("target", metavar="OUT", nargs="?", type=Path, help="the .safetensors file to write")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="the same, as other verbs have it")
    parser.add_argument("--task", help="what the weights are for: overrides the card")
    parser.add_argument("--name", help="the name in the card")
    parser.add_argument("--licence", "--license", help="the licence in the card")
    parser.add_argument("--origin", help="where the weights come from, in the card")
    parser.add_argument("--template", help="where the landmarks lie in a crop: gpen or ffhq")
    parser.add_argument("--border", help="what stands beyond the picture's edge: black or reflect")
    parser.add_argument("--half", action="store_true", help="write float16: half the size, read as float32")
    parser.add_argument("--overwrite", action="store_true", help="replace OUT if it is there")
    parser.add_argument("--trust-pickle", action="store_true", help="read an unknown pickle with a torch below 2.6")


def run(arguments: argparse.Namespace) -> int:
    from ..errors import InputError, WeightsError
    from ..files import sweep
    from ..weights.location import locate_one

    if (arguments.target is None) == (arguments.output is None):
        raise InputError("name the file to write once: gpen convert IN OUT, or gpen convert IN -o OUT")
    target: Path = arguments.target or arguments.output
    if target.exists() and not arguments.overwrite:
        raise WeightsError(f"{target} is there already; give another name, or --overwrite")
    sweep(target.parent)
    located = locate_one(arguments.source)  # before torch is loaded
    from ..weights import GPEN, checkpoint
    from ..weights.description import choose_card

    with warnings.catch_warnings():
        if arguments.task is not None:
            # What the warning asks for has been said.
            warnings.simplefilter("ignore")
        model = GPEN.from_file(located, trust_pickle=arguments.trust_pickle)
    config, card = model.config, model.card
    if arguments.task is not None and arguments.task != card.task:
        card = choose_card(config, where=str(located.path), task=arguments.task, name=located.path.stem)
    fields = ("name", "licence", "origin", "template", "border")
    given = {field: getattr(arguments, field) for field in fields if getattr(arguments, field) is not None}
    card = replace(card, **given)
    state_dict = {name: tensor.half() if arguments.half else tensor for name, tensor in model.state_dict().items()}
    sha256 = checkpoint.write(target, state_dict, config, card)
    print(f"{target}: {card.name}, {card.task}, {config.in_size} px, tensors {sha256[:12]}…")
    return 0
