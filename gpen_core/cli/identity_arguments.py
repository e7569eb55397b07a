"""Arguments about who is in the picture: what tells people apart, whose faces are meant, how far they may change."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .flags import ranged

if TYPE_CHECKING:
    from ..measures.identity import Identity
    from ..measures.person import Person
    from ..options import RestoreOptions
    from ..restore import FaceRestorer


def add_identity(parser: argparse.ArgumentParser) -> None:
    """Adds --identity and what it makes possible: --min-identity, --who, --not."""
    group = add_person(parser, "compare faces before and after", "restore only the person of this picture")
    group.add_argument(
        "--min-identity",
        type=ranged(float, -1, 1),
        metavar="COS",
        help="lower each face's strength until they agree so (try 0.5)",
    )
    group.add_argument("--not", metavar="FILE", action="append", help="never restore the person of this picture")


def add_person(parser: argparse.ArgumentParser, why: str, whom: str) -> argparse._ArgumentGroup:
    """Adds --identity, --who and --alike, and says what for."""
    group = parser.add_argument_group("identity")
    group.add_argument(
        "--identity", metavar="MODEL", help=f"{why}: arcface-ir-se50, or a file of a recognition network"
    )
    group.add_argument("--who", metavar="FILE", action="append", help=whom)
    group.add_argument(
        "--alike",
        type=ranged(float, -1, 1),
        metavar="COS",
        help="from which similarity on a face is that person's (default: what the network says, 0.4 for ArcFace)",
    )
    return group


def read_identity(arguments: argparse.Namespace, restorer: FaceRestorer, options: RestoreOptions) -> Identity | None:
    """What compares faces, None where nobody asks. Raises InputError for --min-identity without a network."""
    from ..errors import InputError
    from ..measures.embedders import read_embedder
    from ..measures.identity import Identity
    from ..weights.location import locate

    if arguments.identity is None:
        for name in ("min_identity", "who", "not", "alike"):
            if getattr(arguments, name, None) is not None:
                flag = f"--{name.replace('_', '-')}"
                raise InputError(f"{flag} needs --identity MODEL, such as arcface-ir-se50, to tell faces apart")
        return None
    network = read_embedder(locate(arguments.identity, kind="recognition").path)
    return Identity(network, options.template or restorer.model.card.template)


def read_person(arguments: argparse.Namespace, restorer: FaceRestorer, identity: Identity | None) -> Person | None:
    """Whose faces are restored, None where all are. Raises FaceError for a reference without one face."""
    from ..errors import InputError
    from ..measures.person import Person, embed_reference

    who, spared = arguments.who or (), getattr(arguments, "not", None) or ()
    if identity is None or not (who or spared):
        if arguments.alike is not None:
            raise InputError("--alike needs --who FILE or --not FILE: whom is a face to be like?")
        return None
    references = [[embed_reference(restorer, identity, Path(path)) for path in paths] for paths in (who, spared)]
    return Person(identity, *references, least=arguments.alike)
