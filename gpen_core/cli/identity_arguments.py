"""Arguments about who is in the picture: the network that tells, and how far faces may depart from themselves."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..measures.identity import Identity
    from ..options import RestoreOptions
    from ..restore import FaceRestorer


def add_identity(parser: argparse.ArgumentParser) -> None:
    """Adds --identity and --min-identity."""
    group = parser.add_argument_group("identity")
    group.add_argument(
        "--identity", metavar="MODEL", help="compare faces before and after: arcface-ir-se50, or a file of that network"
    )
    group.add_argument(
        "--min-identity",
        type=float,
        metavar="COS",
        help="lower each face's strength until they agree so (try 0.5)",
    )


def read_identity(arguments: argparse.Namespace, restorer: FaceRestorer, options: RestoreOptions) -> Identity | None:
    """What compares faces, None where nobody asks. Raises InputError for --min-identity without a network."""
    from ..errors import InputError
    from ..measures.embedders import read_arcface
    from ..measures.identity import Identity
    from ..weights.hub import locate

    if arguments.identity is None:
        if arguments.min_identity is not None:
            raise InputError("--min-identity needs --identity MODEL, such as arcface-ir-se50, to tell faces apart")
        return None
    network = read_arcface(locate(arguments.identity, kind="recognition").path)
    return Identity(network, options.template or restorer.model.card.template)
