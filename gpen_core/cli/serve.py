"""`gpen serve`: a restorer as a service over HTTP."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from .face_arguments import add_networks, provenance_of
from .flags import add_flags, with_flags

NAME = "serve"
HELP = (
    "Restore pictures over HTTP: POST one to /restore, and its restored form comes back, with Accept: application/json "
    "also its report; options stand in the address (/restore?strength=0.8). /health and /metrics tell how it does. "
    "Only this machine can reach it, unless --host says otherwise; then clients must show a token."
)
EXAMPLE = (
    "gpen serve --port 8000\n  curl --data-binary @old.jpg 'http://127.0.0.1:8000/restore?strength=0.8' -o restored.jpg"
)

_SHORTEST = 16


def configure(parser: argparse.ArgumentParser) -> None:
    from ..serve_options import ServeOptions

    parser.set_defaults(aligned=False)
    group = parser.add_argument_group("where, and for whom")
    group.add_argument("--host", default="127.0.0.1", help="the address to listen on (default 127.0.0.1)")
    group.add_argument("--port", type=int, default=8000, help="its port; 0: a free one (default 8000)")
    group.add_argument(
        "--token-file", type=Path, metavar="FILE", help="holds what clients must show (else the variable GPEN_TOKEN)"
    )
    group.add_argument("--log", action="store_true", help="a line on stderr for each request")
    add_networks(parser)
    add_flags(parser.add_argument_group("bounds"), ServeOptions)


def run(arguments: argparse.Namespace) -> int:
    """The exit status, once it was told to end."""
    from ..contracts import device_of
    from ..errors import InputError
    from ..serve import LOOPBACK, bound, create_service, run_service
    from ..serve_options import ServeOptions
    from .restore import restorer_of

    options, token = with_flags(ServeOptions(), arguments), _token(arguments.token_file)
    if token is None and arguments.host not in LOOPBACK:
        raise InputError(
            f"{arguments.host} can be reached by others; set GPEN_TOKEN or --token-file, or leave out --host"
        )
    with bound(arguments.host, arguments.port) as at:
        restorer, model = restorer_of(arguments)
        app = create_service(restorer, options, token=token, provenance=provenance_of(model, 1.0))
        host, port = at.getsockname()[:2]
        where = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        print(f"{restorer.model.card.name} on {device_of(restorer.model)} serves at {where}", flush=True)
        run_service(app, at, queue=options.queue, log=arguments.log)
    return 0


def _token(file: Path | None) -> str | None:
    from ..errors import InputError

    token = os.environ.get("GPEN_TOKEN") if file is None else file.read_text(encoding="utf-8").strip()
    if token is not None and len(token) < _SHORTEST:
        raise InputError(f"the token has {len(token)} characters; expected at least {_SHORTEST} (openssl rand -hex 16)")
    return token
