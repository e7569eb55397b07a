"""Where a verb that stays listens, and for whom: shared by `gpen serve` and `gpen app`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from .flags import ranged

_SHORTEST = 16


def add_access(parser: argparse.ArgumentParser, *, port: int) -> None:
    """Adds --host, --port and --token-file. port: the usual one."""
    group = parser.add_argument_group("where, and for whom")
    group.add_argument("--host", default="127.0.0.1", help="the address to listen on (default 127.0.0.1)")
    group.add_argument(
        "--port", type=ranged(int, 0, 65535), default=port, help=f"its port; 0: a free one (default {port})"
    )
    group.add_argument(
        "--token-file", type=Path, metavar="FILE", help="holds what others must show (else the variable GPEN_TOKEN)"
    )


def token_for(arguments: argparse.Namespace) -> str | None:
    """What others must show. Raises InputError where they can reach it and nothing is to be shown, or the
    file holds no text."""
    from ..errors import InputError
    from ..serve import LOOPBACK

    file = arguments.token_file
    token = os.environ.get("GPEN_TOKEN") if file is None else _read(file)
    if token is not None and len(token) < _SHORTEST:
        raise InputError(f"the token has {len(token)} characters; expected at least {_SHORTEST} (openssl rand -hex 16)")
    if token is None and arguments.host not in LOOPBACK:
        raise InputError(
            f"{arguments.host} can be reached by others; set GPEN_TOKEN or --token-file, or leave out --host"
        )
    return token


def _read(file: Path) -> str:
    from ..errors import InputError

    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "it holds no text"
        raise InputError(f"{file}: {said}; --token-file is a text file with the token alone in it") from error
