"""A service of a test, and a client that asks it."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection

import numpy as np
import pytest
import torch
from PIL import Image
from small_restorers import Network, face, inverted

from gpen_core import FaceRestorer
from gpen_core.serve import OneThread, bound, create_service
from gpen_core.serve_options import ServeOptions

#: Seconds after which what does not come about is taken to hang.
PATIENCE = 120

uvicorn = pytest.importorskip("uvicorn", reason="no uvicorn here: pip install 'gpen[serve]'")
pytest.importorskip("fastapi", reason="no fastapi here: pip install 'gpen[serve]'")


def restorer(network: Network | None = None) -> FaceRestorer:
    return FaceRestorer(network or inverted(), lambda pictures: [[face(20, 15, 50)] for _ in pictures])


def encoded(seed: int = 7, form: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (90, 120, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def said(self) -> dict:
        return json.loads(self.body)


@dataclass
class Running:
    port: int

    def ask(self, path: str = "/restore", body: bytes | None = None, method: str | None = None, **headers) -> Answer:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method or ("GET" if body is None else "POST"), path, body, sent)
        reply = connection.getresponse()
        answer = Answer(reply.status, {key.lower(): value for key, value in reply.getheaders()}, reply.read())
        connection.close()
        return answer

    @property
    def waiting(self) -> int:
        return self.ask("/health").said["waiting"]

    def until(self, seen: Callable[[], bool]) -> None:
        limit = time.monotonic() + PATIENCE
        while not seen():
            assert time.monotonic() < limit, "it never came about"
            time.sleep(0.02)


@contextmanager
def running(made: FaceRestorer | None = None, token: str | None = None, lanes: int = 1, **options) -> Iterator[Running]:
    thread = OneThread(lanes)
    app = create_service(made or restorer(), ServeOptions(**options), token=token, thread=thread, lanes=lanes)
    at = bound("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [at]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield Running(at.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        at.close()
        assert not thread.is_alive()


class Gate:
    """A network that waits to be let through."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Event(), threading.Event()
        self.network = Network(self.passed)
        self.cores: list[int] = []

    def passed(self, crops):
        self.cores.append(torch.get_num_threads())
        self.reached.set()
        assert self.open.wait(PATIENCE)
        return 1 - crops
