"""The addresses of the service, and its errors as JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .. import __version__
from .request import parameters
from .service import Service

#: What the server itself refuses, in words.
_ELSEWHERE = {
    404: "there is nothing at {path}; POST a picture to /restore, or GET /health, /metrics or /openapi.json",
    405: "{method} is not for {path}; POST a picture to /restore, GET /health and /metrics",
}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_ABOUT = {
    "requestBody": {"required": True, "content": {"image/*": _BINARY}},
    "parameters": parameters(),
    "responses": {
        "200": {
            "description": "The restored picture; with Accept: application/json its report as well, the picture "
            "in base64.",
            "content": {"image/*": _BINARY, "application/json": {"schema": {"type": "object"}}},
        }
    },
}


def application(service: Service) -> FastAPI:
    """The ASGI application of a service."""

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            service.close()

    # The pages that document FastAPI's addresses fetch their scripts from elsewhere.
    app = FastAPI(title="GPEN", version=__version__, lifespan=running, docs_url=None, redoc_url=None)

    @app.post("/restore", summary="A picture with its faces restored", response_class=Response, openapi_extra=_ABOUT)
    async def restore(request: Request) -> Response:
        service.admit(request)
        return await service.restore(request)

    # HEAD is what many balancers and monitors ask with.
    @app.head("/health", include_in_schema=False)
    @app.get("/health", summary="Whether it works, and with what", response_class=JSONResponse)
    async def health() -> Response:
        return service.health()

    @app.head("/metrics", include_in_schema=False)
    @app.get("/metrics", summary="Counts, for Prometheus", response_class=Response)
    async def metrics(request: Request) -> Response:
        service.admit(request)
        return service.counts()

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> Response:
        said = _ELSEWHERE.get(error.status_code, "{detail}")
        said = said.format(path=request.url.path, method=request.method, detail=error.detail)
        return JSONResponse({"error": said}, error.status_code, {**(error.headers or {}), "Connection": "close"})

    return app
