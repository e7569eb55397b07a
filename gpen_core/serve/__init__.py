"""A restorer as a service over HTTP: pictures in, restored pictures and reports out (extra `serve`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import MissingPackageError
from ..threads import OneThread, lanes_on
from .server import LOOPBACK, bound, run_service

if TYPE_CHECKING:
    from fastapi import FastAPI

    from ..images.metadata import Provenance
    from ..restore import FaceRestorer
    from ..serve_options import ServeOptions

__all__ = ["LOOPBACK", "OneThread", "bound", "create_service", "lanes_on", "run_service"]


def create_service(
    restorer: FaceRestorer,
    options: ServeOptions | None = None,
    *,
    token: str | None = None,
    provenance: Provenance | None = None,
    thread: OneThread | None = None,
    lanes: int = 1,
) -> FastAPI:
    """An ASGI application with POST /restore, GET /health and GET /metrics.

    token: what clients must show (`Authorization: Bearer …`); None: they must speak to the loopback, and pages of other
    sites are refused. provenance: noted in results. thread: that the networks work in, best the one that loaded them;
    None: one of its own. lanes: pictures restored side by side, each by its share of that thread's cores, for parts
    that several threads may call, as all of the package's may (`lanes_on` says how many pay); 1: one after the other,
    faces of several pictures in one batch. Raises MissingPackageError without the extra `serve`.
    """
    try:
        from .routes import application
    except ImportError as error:
        raise MissingPackageError(f"the service needs {error.name}; install gpen[serve]") from error
    from .service import Service

    return application(Service(restorer, options, token=token, provenance=provenance, thread=thread, lanes=lanes))
