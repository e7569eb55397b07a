"""`gpen serve`: a restorer as a service over HTTP."""

from __future__ import annotations

import argparse

from .access import add_access, token_for
from .face_arguments import add_networks, add_occluder
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


def configure(parser: argparse.ArgumentParser) -> None:
    from ..serve_options import ServeOptions

    parser.set_defaults(aligned=False)
    add_access(parser, port=8000)
    parser.add_argument("--log", action="store_true", help="a line on stderr for each request")
    add_networks(parser)
    add_occluder(parser)
    add_flags(parser.add_argument_group("bounds"), ServeOptions)


def run(arguments: argparse.Namespace) -> int:
    """The exit status, once it was told to end."""
    from ..contracts import device_of
    from ..restore.provenance import provenance_of
    from ..serve import OneThread, bound, create_service, lanes_on, run_service
    from ..serve_options import ServeOptions
    from .restore import restorer_of

    options, token = with_flags(ServeOptions(), arguments), token_for(arguments)
    with bound(arguments.host, arguments.port) as at:
        thread = OneThread()
        restorer, model = thread.submit(restorer_of, arguments, None).result()
        app = create_service(
            restorer,
            options,
            token=token,
            provenance=provenance_of(model, 1.0),
            thread=thread,
            lanes=lanes_on(device_of(restorer.model), options.at_once),
        )
        host, port = at.getsockname()[:2]
        where = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        print(f"{restorer.model.card.name} on {device_of(restorer.model)} serves at {where}", flush=True)
        run_service(app, at, queue=options.queue, log=arguments.log)
    return 0
