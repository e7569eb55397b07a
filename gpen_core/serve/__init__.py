"""A restorer as a service over HTTP: pictures in, restored pictures and reports out (extra `serve`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import MissingPackageError
from .batching import OneThread
from .server import LOOPBACK, bound, run_service

if TYPE_CHECKING:
    from fastapi import FastAPI

    from ..images.metadata import Provenance
    from ..restore import FaceRestorer
    from ..serve_options import ServeOptions

__all__ = ["LOOPBACK", "OneThread", "bound", "create_service", "run_service"]


def create_service(
    restorer: FaceRestorer,
    options: ServeOptions | None = None,
    *,
    token: str | None = None,
    provenance: Provenance | None = None,
    thread: OneThread | None = None,
) -> FastAPI:
    """An ASGI application with POST /restore, GET /health and GET /metrics.

    token: what clients must show (`Authorization: Bearer …`); None: they must speak to the loopback, and pages of other
    sites are refused. provenance: noted in results. thread: that the networks work in, best the one that loaded them;
    None: one of its own. Raises MissingPackageError without the extra `serve`.
    """
    try:
        from .routes import application
    except ImportError as error:
        raise MissingPackageError(f"the service needs {error.name}; install gpen[serve]") from error
    from .service import Service

    return application(Service(restorer, options, token=token, provenance=provenance, thread=thread))
