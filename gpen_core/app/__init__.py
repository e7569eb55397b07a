"""A page in the browser to restore pictures, folders and films with, on this machine (extra `app`)."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from ..errors import MissingPackageError

if TYPE_CHECKING:
    from gradio import Blocks

__all__ = ["create_app", "run_app"]

#: Who signs in where others can reach the app; the token is the password.
USER = "gpen"


def create_app(
    model: str | None = None, *, device: str = "auto", max_megapixels: float = 100.0, any_model: bool = False
) -> Blocks:
    """The app, as Gradio's Blocks.

    model: to begin with; those that `gpen models` knows can be chosen. any_model: a path or a repository on the Hub can
    be named as well: not where strangers come. Raises MissingPackageError without the extra `app`.
    """
    try:
        from .page import build
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


def run_app(app: Blocks, host: str, port: int, *, token: str | None = None, browse: bool = False) -> None:
    """Shows the app at this place until SIGINT or SIGTERM. token: what people sign in with, as `gpen`.

    browse: opens a browser at it.
    """
    from .page import launch_settings

    told = threading.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: told.set()) for number in signals]
    try:
        app.launch(
            server_name=host,
            server_port=port,
            auth=None if token is None else (USER, token),
            inbrowser=browse,
            prevent_thread_lock=True,
            **launch_settings(),
        )
        told.wait()
        app.close(verbose=False)
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
