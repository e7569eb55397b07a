"""`gpen publish FILE REPO`: a model to the Hub, with its card."""

from __future__ import annotations

import argparse
from pathlib import Path

NAME = "publish"
HELP = "Put a model on the Hub: model.safetensors, config.json and a generated model card."
EXAMPLE = "gpen publish runs/open/model.safetensors me/my-gpen --private"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="FILE", help="a path, or a name in the zoo")
    parser.add_argument("repo", metavar="REPO", help="owner/name on the Hub; made if it is not there")
    parser.add_argument("--private", action="store_true", help="make the repository private")
    parser.add_argument("--revision", help="an existing branch to commit to (default: main)")
    parser.add_argument("--message", default="Upload GPEN weights", help="the commit's message")
    parser.add_argument("--task", help="what the weights are for, where the file does not say so itself")
    parser.add_argument("--folder", type=Path, help="only write the files into this folder, and publish nothing")


def run(arguments: argparse.Namespace) -> int:
    from ..weights import GPEN

    model = GPEN.from_pretrained(arguments.source, task=arguments.task)
    if arguments.folder is not None:
        print(model.save_pretrained(arguments.folder))
        return 0
    address = model.push_to_hub(
        arguments.repo,
        private=arguments.private,
        revision=arguments.revision,
        message=arguments.message,
    )
    print(address)
    return 0
