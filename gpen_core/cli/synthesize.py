"""`gpen synthesize MAP… -o DIR`: faces from maps of their regions, and the maps of faces to edit."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..files import refuse_missing
from .face_arguments import add_networks, load_for

if TYPE_CHECKING:
    from ..batch import Item
    from ..config import Template

NAME = "synthesize"
HELP = (
    "Make a face from a map of its regions, painted in CelebAMask-HQ's 19 colours. --parse writes such a map of an "
    "aligned face; --photo puts edited maps' faces into a photograph."
)
EXAMPLE = """gpen synthesize map.png -o face.png --model GPEN-Seg2face-512
  gpen synthesize --parse portrait.jpg -o map.png
  gpen synthesize map0.png map1.png --photo family.jpg -o changed.jpg --model GPEN-Seg2face-512"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("inputs", metavar="INPUT", nargs="+", help="maps; with --parse: faces or a photograph")
    parser.add_argument("-o", "--output", required=True, help="a folder, or a file's name for one result")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--parse", action="store_true", help="write the map of each aligned face")
    kind.add_argument(
        "--parse-photo", action="store_true", help="write the map of every face of each photograph, numbered as found"
    )
    kind.add_argument(
        "--photo", metavar="FILE", help="make its faces anew from the maps, the first face from the first map"
    )
    add_networks(parser, usual="GPEN-Seg2face-512")
    parser.add_argument("--overwrite", action="store_true", help="results may take the place of their own inputs")


def run(arguments: argparse.Namespace) -> int:
    refuse_missing(arguments.inputs)
    from ..batch import collect

    output = Path(arguments.output)
    if arguments.photo:
        return _into_photograph(arguments, output)
    items = collect(arguments.inputs, arguments.output, suffix=".png", overwrite=arguments.overwrite)
    if arguments.parse or arguments.parse_photo:
        return _parse(arguments, items)
    from ..images import Picture, write_picture
    from ..tasks import synthesize_face

    model = load_for(arguments, "segmentation")

    def made(item: Item) -> None:
        face = Picture(pixels=synthesize_face(item.source, model), path=item.source)
        write_picture(face, item.target, overwrite=arguments.overwrite)
        print(f"{item.target}: {face.width}×{face.height}")

    return _each(items, made)


def _each(items: list[Item], make: Callable[[Item], None]) -> int:
    """Makes one after the other: 1 where some cannot be made, after all others, and those are named.

    Raises what is wrong with the only one.
    """
    from ..errors import GPENError

    status = 0
    for item in items:
        try:
            make(item)
        except GPENError as error:
            if len(items) == 1:
                raise
            said = str(error)
            print(f"gpen: {said if str(item.source) in said else f'{item.source}: {said}'}", file=sys.stderr)
            status = 1
    return status


def _parse(arguments: argparse.Namespace, items: list[Item]) -> int:
    from ..images import write_picture
    from ..tasks import map_picture, parse_face
    from ..weights import load_parser

    parser = load_parser(arguments.parser, device=arguments.device)
    if arguments.parse:

        def parsed(item: Item) -> None:
            write_picture(map_picture(parse_face(item.source, parser)), item.target)
            print(f"{item.target}: its map")

        return _each(items, parsed)
    from ..images import read_picture
    from ..tasks import parse_faces
    from ..weights import load_detector

    detector = load_detector(arguments.detector, device=arguments.device)
    template: Template = "gpen" if arguments.model is None else load_for(arguments, "segmentation").card.template

    def all_parsed(item: Item) -> None:
        maps = parse_faces(read_picture(item.source), parser=parser, detector=detector, face_template=template)
        for index, labels in enumerate(maps):
            target = item.target.with_name(f"{item.target.stem}_{index:02}.png")
            write_picture(map_picture(labels), target)
            print(f"{target}: map of face {index}")
        if not maps:
            print(f"{item.source}: no face found")

    return _each(items, all_parsed)


def _into_photograph(arguments: argparse.Namespace, output: Path) -> int:
    from ..errors import FaceError
    from ..images import read_picture, write_picture
    from ..report import counted
    from ..tasks import as_labels, edit_faces
    from ..weights import load_detector, load_parser

    maps = [as_labels(path) for path in arguments.inputs]
    photograph = read_picture(arguments.photo)
    model = load_for(arguments, "segmentation")
    networks: dict[str, Any] = {
        "detector": load_detector(arguments.detector, device=arguments.device),
        "parser": load_parser(arguments.parser, device=arguments.device),
    }

    def edited(labels: Any, index: int) -> Any:
        if index >= len(maps):
            raise FaceError(f"{arguments.photo} has more faces than the {len(maps)} maps given; give one for each face")
        return maps[index]

    result = edit_faces(photograph, model, edited, **networks)
    write_picture(result.decoded, output, overwrite=arguments.overwrite)
    print(f"{output}: {counted(len(result.faces), 'face')} made anew")
    return 0
