"""What becomes of a request: who may ask, how many at a time, how long, and what is answered."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from PIL import Image
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from .. import __version__
from ..contracts import device_of
from ..errors import (
    ConfigError,
    DeviceError,
    GPENError,
    HubError,
    InputError,
    MissingPackageError,
    PictureError,
    WeightsError,
)
from ..images import Picture
from ..images.damage import DamageError
from ..images.metadata import Provenance
from ..images.reading import decode_picture
from ..images.writing import FORMATS, encode_picture
from ..measures.figures import face_figures
from ..report import FaceReport, PictureReport, Status
from ..restore import FaceRestorer, RestoredPicture
from ..serve_options import ServeOptions
from ..threads import OneThread, ThreadsBeside
from .batching import Batcher, Job
from .metrics import Metrics
from .request import Wish, gone, read_body
from .server import LOOPBACK

Value = TypeVar("Value")

#: What is said of the picture that a body is.
_NAME = Path("the body")
#: As nginx has it: the client closed the connection; nobody reads it.
_GONE = 499


class Service:
    """One restorer, and what is asked of it; `start` and `close` stand around its use."""

    def __init__(
        self,
        restorer: FaceRestorer,
        options: ServeOptions | None = None,
        *,
        token: str | None = None,
        provenance: Provenance | None = None,
        thread: OneThread | None = None,
        lanes: int = 1,
    ) -> None:
        self.options = options or ServeOptions()
        self.metrics = Metrics()
        self._restorer, self._token, self._provenance = restorer, token, provenance
        self._thread, self._lanes = thread, lanes
        self._waiting = 0

    def start(self) -> None:
        """Starts its threads."""
        self._slots = asyncio.Semaphore(self.options.at_once)
        self._threads = ThreadsBeside(2, "picture")
        self._batcher = Batcher(
            self._restorer,
            most=self.options.at_once,
            begun=self.metrics.grouped,
            thread=self._thread,
            lanes=self._lanes,
        )

    def close(self) -> None:
        """Ends them, once they have done what they began."""
        self._batcher.close()
        self._threads.shutdown(cancel_futures=True)

    def admit(self, request: Request) -> None:
        """Raises HTTPException for a client that may not ask."""
        if self._token is not None:
            given = request.headers.get("authorization", "").encode("latin-1", "replace")
            if not secrets.compare_digest(given, f"Bearer {self._token}".encode()):
                said = "the token is missing or wrong; send `Authorization: Bearer TOKEN`"
                raise HTTPException(401, said, headers={"WWW-Authenticate": "Bearer"})
            return
        # Without a token, a page that somebody here looks at must not reach the service by another name of it.
        host = request.headers.get("host", "")
        if re.sub(r":\d+$", "", host).strip("[]").lower() not in LOOPBACK:
            raise HTTPException(403, f"asked for as {host!r}; without a token only {', '.join(LOOPBACK)} are answered")
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise HTTPException(403, f"asked for by a page of {origin}; set a token to be asked by others")

    def health(self) -> Response:
        """What it works with; 503 where it does not."""
        status = 200 if self._batcher.alive else 503
        model = self._restorer.model
        said = {"status": "ok" if status == 200 else "the restorer has ended; start the service again"}
        said |= {"model": model.card.name, "device": str(device_of(model)), "version": __version__}
        return JSONResponse({**said, "waiting": self._waiting}, status)

    def counts(self) -> Response:
        """Its metrics."""
        return Response(self.metrics.text(waiting=self._waiting), media_type="text/plain; version=0.0.4")

    async def restore(self, request: Request) -> Response:
        """The restored picture, or it and its report, or why not."""
        began, status, faces = time.perf_counter(), 500, 0
        try:
            with self._admitted():
                wish = Wish.of(request.query_params)
                most = round(self.options.max_body * 1e6)
                body = await read_body(request, most=most, seconds=self.options.upload_seconds)
                response, faces = await self._watched(request, body, wish)
                status = response.status_code
                return response
        except ClientDisconnect:
            status = _GONE
            return Response(status_code=_GONE)
        except HTTPException as refused:
            status = refused.status_code
            raise
        except GPENError as error:
            status = _status_of(error)
            raise HTTPException(status, str(error)) from error
        finally:
            self.metrics.answered(status, time.perf_counter() - began, faces)

    @contextmanager
    def _admitted(self) -> Iterator[None]:
        if self._waiting >= self.options.queue:
            said = f"{self._waiting} requests are waiting already; come back in a moment"
            raise HTTPException(503, said, headers={"Retry-After": "1"})
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def _watched(self, request: Request, body: bytes, wish: Wish) -> tuple[Response, int]:
        """The answer and its faces, while the client waits for it, and no longer than is allowed."""
        work = asyncio.ensure_future(self._answer(body, wish, "application/json" in request.headers.get("accept", "")))
        left = asyncio.ensure_future(gone(request))
        try:
            await asyncio.wait((work, left), timeout=self.options.seconds, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            if left.done():
                raise ClientDisconnect
            raise HTTPException(504, f"no result within {self.options.seconds:g} seconds; send a smaller picture")
        finally:
            work.cancel()
            left.cancel()

    async def _answer(self, body: bytes, wish: Wish, whole: bool) -> tuple[Response, int]:
        async with self._slots:
            picture = await self._aside(_decoded, body, round(self.options.max_pixels * 1e6))
            job = Job(picture=picture, options=wish.options, aligned=wish.aligned)
            try:
                self._batcher.submit(job)
                result = await asyncio.wrap_future(job.future)
            finally:
                job.abandoned = True
            return await self._aside(self._written, body, picture, result, wish, whole), len(result.faces)

    async def _aside(self, function: Callable[..., Value], *arguments: Any, **named: Any) -> Value:
        return await asyncio.get_running_loop().run_in_executor(self._threads, partial(function, *arguments, **named))

    def _written(self, body: bytes, before: Picture, result: RestoredPicture, wish: Wish, whole: bool) -> Response:
        came = "JPEG" if before.format == "MPO" else before.format
        form = wish.format or (came if came is not None and came in FORMATS.values() else "PNG")
        changed = any(not face.spared for face in result.faces)
        status: Status = "restored" if changed else "copied"
        notes, data = before.notes, body
        if changed or form != came or wish.quality is not None:
            status = "restored" if changed else "converted"
            made_by = self._provenance
            if made_by is not None:
                made_by = replace(made_by, strength=wish.options.blending.strength)
            data, said = encode_picture(
                result.decoded, form, _NAME, quality=wish.quality, provenance=made_by if changed else None
            )
            notes = (*result.decoded.notes, *said)
        kind = Image.MIME.get(form, "application/octet-stream")
        if not whole:
            return Response(data, media_type=kind, headers={"GPEN-Faces": str(len(result.faces))})
        rows = (FaceReport.of(face, index, result.decoded, (face_figures,)) for index, face in enumerate(result.faces))
        report = PictureReport(
            input=str(_NAME), status=status, width=before.width, height=before.height, notes=notes, faces=tuple(rows)
        ).to_dict()
        picture = {"type": kind, "base64": base64.b64encode(data).decode()}
        return Response(json.dumps({"report": report, "picture": picture}), media_type="application/json")


def _decoded(body: bytes, limit: int) -> Picture:
    try:
        return decode_picture(body, _NAME, max_pixels=limit, allow_truncated=False)
    except DamageError as damage:
        raise PictureError(f"{damage}; send the whole file") from damage


def _status_of(error: GPENError) -> int:
    if isinstance(error, ConfigError | InputError):
        return 400
    if isinstance(error, MissingPackageError):
        return 415
    if isinstance(error, HubError):
        return 503
    return 500 if isinstance(error, DeviceError | WeightsError) else 422
