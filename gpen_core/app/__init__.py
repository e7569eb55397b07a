"""A page in the browser to restore pictures, folders and films with, on this machine (extra `app`)."""

from __future__ import annotations

import socket
import threading
import webbrowser
from typing import TYPE_CHECKING

from ..errors import MissingPackageError

if TYPE_CHECKING:
    from gradio import Blocks

__all__ = ["create_app", "run_app"]

#: Who signs in where others can reach the app; the token is the password.
USER = "gpen"
#: Connections at a time; a page holds several. Pages that are open are waited for so many seconds at the end.
_CONNECTIONS, _GRACE = 256, 2


def create_app(
    model: str | None = None, *, device: str = "auto", max_megapixels: float = 100.0, any_model: bool = False
) -> Blocks:
    """The app, as Gradio's Blocks.

    model: to begin with; those that `gpen models` knows can be chosen. any_model: a path or a repository on the Hub can
    be named as well: not where strangers come. Raises MissingPackageError without the extra `app`.
    """
    try:
        from .events import build
    except ImportError as error:
        raise MissingPackageError(f"the app needs {error.name}; install gpen[app]") from error
    from ..weights.zoo import DEFAULT_MODEL, MODELS
    from .studio import Studio

    known = [
        entry.name
        for entry in MODELS
        if entry.kind == "restorer" and (entry.card is None or entry.card.task == "restoration")
    ]
    models = dict.fromkeys([model or DEFAULT_MODEL, *known])
    return build(Studio(device=device, max_pixels=round(max_megapixels * 1e6)), list(models), any_model=any_model)


def run_app(app: Blocks, at: socket.socket, *, token: str | None = None, browse: bool = False) -> None:
    """Shows the app at a place of `gpen_core.serve.bound` until SIGINT or SIGTERM.

    token: what people sign in with, as `gpen`. browse: opens a browser at it.
    """
    from fastapi import FastAPI
    from gradio import mount_gradio_app

    from ..serve import run_service
    from .page import shown_settings

    # (Gradio's own `launch` ends with a traceback where a busy machine does not answer itself within three seconds.)
    served = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    auth = None if token is None else (USER, token)
    mount_gradio_app(served, app, path="/", auth=auth, **shown_settings())
    if browse:
        host, port = at.getsockname()[:2]
        opening = threading.Timer(1.0, webbrowser.open, [f"http://{host}:{port}"])
        opening.daemon = True
        opening.start()
    run_service(served, at, queue=_CONNECTIONS, grace=_GRACE)
