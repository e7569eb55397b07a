"""The service, asked over the loopback: what it answers, at once and together, and how it ends."""

from __future__ import annotations

import base64
import io
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from free_port import accepts
from huggingface_hub import constants
from PIL import Image
from running_service import PATIENCE, Gate, Running, encoded, restorer, running
from small_restorers import face

from gpen_core import FaceRestorer, RestoreOptions
from gpen_core.cli.main import main
from gpen_core.images.reading import decode_picture
from gpen_core.option_texts import read, with_texts, written
from gpen_core.serve.batching import Batcher

EXAMPLE = Path(__file__).parent.parent / "gpen_core" / "examples" / "sent-around.jpg"
TOKEN = "a token of some length"


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running() as made:
        yield made


def test_a_picture_comes_back_as_the_restorer_gives_it(service):
    given = encoded()
    answer = service.ask(body=given)
    expected = restorer().restore(np.array(Image.open(io.BytesIO(given)))).picture
    assert (answer.status, answer.headers["content-type"], answer.headers["gpen-faces"]) == (200, "image/png", "1")
    assert np.array_equal(np.array(Image.open(io.BytesIO(answer.body))), expected)


def test_the_report_comes_with_the_picture_where_json_is_asked_for(service):
    said = service.ask(body=encoded(), Accept="application/json").said
    picture = base64.b64decode(said["picture"]["base64"])
    assert picture == service.ask(body=encoded()).body
    assert (said["report"]["status"], said["report"]["width"], said["report"]["height"]) == ("restored", 120, 90)
    (one,) = said["report"]["faces"]
    assert one["box"] == [20.0, 15.0, 70.0, 65.0]
    assert {"seam", "damage", "sharpness_after"} <= set(one)


def test_a_picture_that_is_not_to_be_changed_comes_back_to_the_byte(service):
    given = encoded(form="JPEG")
    answer = service.ask("/restore?min_size=60", body=given)
    assert (answer.body == given, answer.headers["gpen-faces"]) == (True, "0")
    converted = service.ask("/restore?min_size=60&format=webp", body=given)
    assert converted.headers["content-type"] == "image/webp"
    assert decode_picture(converted.body, Path("it"), max_pixels=None, allow_truncated=False).format == "WEBP"


@pytest.fixture
def submitted(monkeypatch) -> list[object]:
    """What services have given to be restored: pictures that are decoded."""
    given: list[object] = []
    submit = Batcher.submit

    def noted(batcher, job):
        submit(batcher, job)
        given.append(job)

    monkeypatch.setattr(Batcher, "submit", noted)
    return given


def test_what_is_asked_at_once_shares_a_batch_and_one_broken_hurts_no_other(submitted):
    gate = Gate()

    def detector(pictures):
        if float(pictures.max()) == 0:
            raise ArithmeticError("this one breaks the detector")
        return [[face(20, 15, 50)] for _ in pictures]

    black = io.BytesIO()
    Image.new("RGB", (120, 90)).save(black, "PNG")
    bodies = [encoded(0), *(encoded(seed) for seed in range(1, 6)), black.getvalue()]
    with running(FaceRestorer(gate.network, detector)) as service, ThreadPoolExecutor(8) as clients:
        first = clients.submit(service.ask, body=bodies[0])
        assert gate.reached.wait(PATIENCE)
        others = [clients.submit(service.ask, body=body) for body in bodies[1:]]
        service.until(lambda: len(submitted) == 7)
        gate.open.set()
        answers = [one.result() for one in (first, *others)]
        counts = service.ask("/metrics").body.decode()
    assert [answer.status for answer in answers] == [200] * 6 + [422]
    assert "this one breaks the detector" in answers[-1].said["error"]
    for body, answer in zip(bodies[:6], answers[:6], strict=True):
        expected = restorer().restore(np.array(Image.open(io.BytesIO(body)))).picture
        assert np.array_equal(np.array(Image.open(io.BytesIO(answer.body))), expected)
    assert re.search(r"^gpen_group_pictures_sum 7$", counts, re.MULTILINE)
    assert re.search(r"^gpen_group_pictures_count 2$", counts, re.MULTILINE)
    assert 'gpen_requests_total{status="200"} 6' in counts
    assert 'gpen_requests_total{status="422"} 1' in counts


def test_lanes_restore_side_by_side_and_what_comes_alone_has_all_cores(submitted):
    gate, bodies = Gate(), [encoded(seed) for seed in range(5)]
    with running(restorer(gate.network), lanes=2) as service, ThreadPoolExecutor(5) as clients:
        asked = [clients.submit(service.ask, body=bodies[0])]
        service.until(lambda: len(gate.cores) == 1)
        asked += [clients.submit(service.ask, body=body) for body in bodies[1:]]
        service.until(lambda: len(gate.cores) == 2 and len(submitted) == 5)  # while the first is held up
        gate.open.set()
        answers = [one.result() for one in asked]
    assert gate.cores == [2, 1, 1, 1, 1]
    for body, answer in zip(bodies, answers, strict=True):
        expected = restorer().restore(np.array(Image.open(io.BytesIO(body)))).picture
        assert np.array_equal(np.array(Image.open(io.BytesIO(answer.body))), expected)


def test_the_address_offers_what_the_shell_does(service):
    from gpen_core.cli.main import parser_for

    parser = parser_for(__import__("gpen_core.cli.restore", fromlist=["NAME"]))
    flags = {action.dest for action in parser._actions}
    said = {entry["name"] for entry in service.ask("/openapi.json").said["paths"]["/restore"]["post"]["parameters"]}
    assert said - {"aligned", "format", "quality"} == set(written(RestoreOptions))
    assert said <= flags


def test_options_as_text_are_what_was_written():
    texts = {"strength": "0.5", "faces": "0,2", "region_strength": "eyes=0.5", "face_strength": "1=0.25", "mask": "box"}
    made = with_texts(RestoreOptions(), {**texts, "only_damaged": "yes", "largest": "2"})
    assert (made.blending.strength, made.selection.indices, made.masking.kind) == (0.5, (0, 2), "box")
    assert (dict(made.blending.region_strength), dict(made.blending.face_strength)) == ({"eyes": 0.5}, {1: 0.25})
    assert (made.blending.only_damaged, made.selection.largest) == (True, 2)
    for name, entry in written(RestoreOptions).items():
        if isinstance(entry.default, bool | int | float | str):
            assert entry.checked(read(entry, str(entry.default))) == entry.default, name


def shell(*words: str, **environment: str) -> subprocess.Popen:
    whole = {**os.environ, "PYTHONPATH": str(EXAMPLE.parents[2]), **environment}
    command = [sys.executable, "-m", "gpen_core.cli.main", "serve", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=whole)


def started(served: subprocess.Popen) -> Running:
    """The service of `shell`, once it can be asked."""
    assert served.stdout is not None
    where = re.search(r"http://127\.0\.0\.1:(\d+)$", served.stdout.readline().strip())
    assert where is not None
    service = Running(int(where[1]))
    service.until(lambda: accepts(service.port))
    return service


def test_a_model_that_cannot_be_had_is_said_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.delenv("GPEN_TOKEN", raising=False)
    assert main(["serve", "--model", "nobody/no-such-model", "--port", "0"]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "nobody/no-such-model" in err


def test_the_command_serves_until_it_is_told_to_end_and_answers_what_has_begun():
    with shell("--port", "0", GPEN_TOKEN=TOKEN) as served:
        service = started(served)
        with ThreadPoolExecutor(1) as clients:
            asked = clients.submit(
                service.ask, body=EXAMPLE.read_bytes(), Authorization=f"Bearer {TOKEN}", Accept="application/json"
            )
            service.until(lambda: asked.done() or service.waiting == 1)
            served.send_signal(signal.SIGTERM)
            answer = asked.result()
        assert (answer.status, len(answer.said["report"]["faces"])) == (200, 1)
        assert served.wait(PATIENCE) == 0
        assert not accepts(service.port)


def test_told_twice_to_end_the_command_waits_for_nobody():
    with shell("--port", "0", GPEN_TOKEN=TOKEN) as served:
        service = started(served)
        with socket.create_connection(("127.0.0.1", service.port)) as client:
            client.sendall(
                f"POST /restore HTTP/1.1\r\nHost: here\r\nAuthorization: Bearer {TOKEN}\r\n"
                "Content-Length: 100\r\nExpect: 100-continue\r\n\r\n".encode()
            )
            assert b" 100 " in client.recv(100)  # it reads, and waits for a body that never comes
            served.send_signal(signal.SIGINT)
            service.until(lambda: not accepts(service.port))
            assert served.poll() is None
            served.send_signal(signal.SIGINT)
            served.wait(PATIENCE)
