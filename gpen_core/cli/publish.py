"""`gpen publish FILE REPO`: a model to the Hub, with its card."""

from __future__ import annotations

import argparse
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

NAME = "publish"
HELP = "Put a model on the Hub: model.safetensors, config.json and a generated model card."
EXAMPLE = "gpen publish runs/mine/model.safetensors me/my-gpen --dataset me/faces --figures judged/summary.json"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="FILE", help="a path, or a name in the zoo")
    parser.add_argument("repo", metavar="REPO", help="owner/name on the Hub; made if it is not there")
    parser.add_argument("--private", action="store_true", help="make the repository private")
    parser.add_argument("--revision", help="an existing branch to commit to (default: main)")
    parser.add_argument("--message", default="Upload GPEN weights", help="the commit's message")
    parser.add_argument("--task", help="what the weights are for, where the file does not say so itself")
    group = parser.add_argument_group("what its card says, beside what the file says itself")
    group.add_argument("--dataset", action="append", metavar="OWNER/NAME", help="of the Hub, that it was trained on")
    group.add_argument("--base-model", metavar="OWNER/NAME", help="of the Hub, that training began from")
    group.add_argument("--figures", type=Path, metavar="FILE", help="summary.json of `gpen evaluate` or `gpen compare`")
    group.add_argument("--judged-on", metavar="WORDS", help="which faces the figures are of")
    parser.add_argument("--folder", type=Path, help="only write the files into this folder, and publish nothing")


def run(arguments: argparse.Namespace) -> int:
    from ..errors import InputError
    from ..weights.location import locate_one

    if not re.fullmatch(r"([\w.-]+/)?[\w.-]+", arguments.repo):
        raise InputError(f"{arguments.repo} is no name on the Hub; expected owner/name")
    located = locate_one(arguments.source, kind="restorer")  # before torch is loaded
    from ..weights import GPEN

    model = GPEN.from_file(located, task=arguments.task)
    if told := _told(arguments):
        model.card = replace(model.card, details={**model.card.details, **told})
    if arguments.folder is not None:
        print(model.save_pretrained(arguments.folder, repo=arguments.repo))
        return 0
    address = model.push_to_hub(
        arguments.repo,
        private=arguments.private,
        revision=arguments.revision,
        message=arguments.message,
    )
    print(address)
    return 0


def _told(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the command line adds to the card's details. Raises InputError for a file that holds no figures."""
    from ..errors import InputError

    told: dict[str, Any] = {}
    for name in (*(arguments.dataset or ()), *([arguments.base_model] if arguments.base_model else [])):
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", name):
            raise InputError(f"{name} is no name on the Hub; expected owner/name")
    if arguments.dataset:
        told["datasets"] = arguments.dataset
    if arguments.base_model:
        told["base_model"] = arguments.base_model
    if arguments.figures is not None:
        try:
            sides = json.loads(arguments.figures.read_bytes())["sides"]
            told["figures"] = {
                side: {name: figure["mean"] for name, figure in row["figures"].items() if figure["mean"] is not None}
                for side, row in sides.items()
            }
            count = max(row["pictures"] for row in sides.values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            said = "expected the summary.json of `gpen evaluate -o` or `gpen compare -o`"
            raise InputError(f"{arguments.figures} holds no figures ({error}); {said}") from error
        told["judged_on"] = arguments.judged_on or f"{count} pictures"
    elif arguments.judged_on:
        raise InputError("--judged-on says which faces --figures are of; name that file, too")
    return told
