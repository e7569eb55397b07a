"""`gpen app`: a page in the browser to restore with."""

from __future__ import annotations

import argparse

from .access import add_access, token_for
from .file_arguments import add_max_pixels

NAME = "app"
HELP = (
    "Open a page in the browser: drop pictures, a folder or a film, click the faces to leave out, and compare before "
    "and after. Nothing leaves this machine, and only it can reach the page, unless --host says otherwise; then people "
    "sign in as `gpen`, with the token."
)
EXAMPLE = "gpen app"


def configure(parser: argparse.ArgumentParser) -> None:
    add_access(parser, port=7860)
    parser.add_argument("--model", help="to begin with: a path, a name in `gpen models`, or owner/repo on the Hub")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps, xpu")
    add_max_pixels(parser, 100)
    parser.add_argument("--no-browser", action="store_true", help="only say where the page is")


def run(arguments: argparse.Namespace) -> int:
    """The exit status, once it was told to end."""
    from ..app import create_app, run_app
    from ..serve import LOOPBACK, bound

    token, local = token_for(arguments), arguments.host in LOOPBACK
    with bound(arguments.host, arguments.port) as at:  # before anything is loaded
        app = create_app(arguments.model, device=arguments.device, max_megapixels=arguments.max_pixels, any_model=local)
        print(f"the page is at http://{arguments.host}:{at.getsockname()[1]}", flush=True)
        run_app(app, at, token=token, browse=local and not arguments.no_browser)
    return 0
