"""What the service refuses: one clear answer each, and nothing left behind."""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from running_service import PATIENCE, Gate, Running, encoded, restorer, running

from gpen_core.errors import HubError, InputError
from gpen_core.serve import bound

TOKEN = "a token of some length"


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    with running(max_body=1, max_pixels=1) as made:
        yield made


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("strenth=1", "there is no option strenth; did you mean strength?"),
        ("strength=2", "strength is 2.0; expected a number from 0 to 1"),
        ("strength=much", "strength is 'much'; expected a number from 0 to 1"),
        ("strength=", "strength is ''; expected a number from 0 to 1"),
        ("faces=0,x", "faces is '0,x'; expected whole numbers of at least 0"),
        ("face_strength=0=x", "face_strength is '0=x'; expected numbers from 0 to 1, each for the number of a face"),
        ("strength=0.5&format=png&strength=0.7", "strength is said 2 times; say it once"),
        ("mask=elipse", "did you mean ellipse?"),
        ("only_damaged=maybe", "only_damaged is 'maybe'; expected true or false"),
        ("format=jpq", "format is 'jpq'; did you mean jpg?"),
        ("quality=101", "quality is '101'; expected 1 to 100"),
        ("aligned=1&faces=0", "aligned is '1'; expected true or false"),
    ],
)
def test_what_an_address_asks_wrongly_is_named(service, query, said):
    answer = service.ask(f"/restore?{query}", body=encoded())
    assert answer.status == 400
    assert said in answer.said["error"]


def test_what_is_asked_of_a_wrong_address_is_told_where_to_go(service):
    lost, wrong = service.ask("/restored", body=encoded()), service.ask("/restore")
    assert (lost.status, wrong.status) == (404, 405)
    assert lost.said["error"].startswith("there is nothing at /restored; POST a picture to /restore")
    assert wrong.said["error"].startswith("GET is not for /restore; POST a picture")


def test_a_monitor_may_ask_for_the_head_of_what_it_may_ask_for(service):
    for path in ("/health", "/metrics"):
        head, whole = service.ask(path, method="HEAD"), service.ask(path)
        assert (head.status, head.body) == (200, b"")
        assert head.headers["content-type"] == whole.headers["content-type"]
    with running(token=TOKEN) as guarded:
        assert [guarded.ask(path, method="HEAD").status for path in ("/health", "/metrics")] == [200, 401]


def test_what_may_be_asked_is_told_without_a_token():
    with running(token=TOKEN) as guarded:
        assert [guarded.ask(path).status for path in ("/health", "/openapi.json", "/metrics")] == [200, 200, 401]


def encoded_of(width: int, height: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return file.getvalue()


def test_an_aligned_face_that_is_none_is_refused_with_what_an_address_may_say(service):
    answer = service.ask("/restore?aligned=true", body=encoded_of(60, 40))
    assert answer.status == 400
    assert "an aligned face is square; leave `aligned`" in answer.said["error"]


def bomb() -> bytes:
    file = io.BytesIO()
    Image.new("1", (9000, 9000)).save(file, "PNG")
    return file.getvalue()


BROKEN = {
    "empty": (b"", 400, "the body is empty"),
    "a text": (b"no picture at all", 422, "is not a picture"),
    "cut short": (encoded(form="JPEG")[:900], 422, "; send the whole file"),
    "a bomb": (bomb(), 422, "claims 9000×9000 pixels (81 million); the limit is 1 million"),
    "a little beyond the limit": (encoded_of(1010, 1000), 422, "(1.01 million); the limit is 1 million"),
    "a film": (b"\0\0\0\x20ftypisom" + bytes(100), 415, "this is a film"),
    "too large": (bytes(1_000_001), 413, "larger than 1 MB"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_restored_gets_one_clear_answer(service, name):
    body, status, said = BROKEN[name]
    answer = service.ask(body=body)
    assert (answer.status, list(answer.said)) == (status, ["error"])
    assert said in answer.said["error"]
    assert "\n" not in answer.said["error"]
    assert service.waiting == 0


def test_a_form_and_a_compressed_body_are_refused_with_the_remedy(service):
    form = service.ask(body=b"--x", Content_Type="multipart/form-data; boundary=x")
    assert (form.status, "--data-binary" in form.said["error"]) == (415, True)
    assert service.ask(body=encoded(), Content_Encoding="gzip").status == 415


def test_a_body_of_unsaid_length_is_cut_off_where_it_grows_too_large(service):
    connection = HTTPConnection("127.0.0.1", service.port, timeout=60)
    connection.request("POST", "/restore", iter([bytes(400_000)] * 4), encode_chunked=True)
    assert connection.getresponse().status == 413
    connection.close()


def test_a_full_queue_says_so_at_once():
    gate = Gate()
    with running(restorer(gate.network), queue=1) as service, ThreadPoolExecutor(1) as clients:
        first = clients.submit(service.ask, body=encoded())
        assert gate.reached.wait(PATIENCE)
        answer = service.ask(body=encoded())
        gate.open.set()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert first.result().status == 200
        assert service.ask(body=encoded()).status == 200


def test_a_parser_that_cannot_be_fetched_is_asked_for_once_a_minute(monkeypatch):
    asked, now = [], [0.0]

    def load_parser():
        asked.append(now[0])
        if now[0] < 60:
            raise HubError("parsenet cannot be fetched")
        return lambda crops: torch.ones(len(crops), *crops.shape[-2:])

    monkeypatch.setattr("gpen_core.weights.load_parser", load_parser)
    monkeypatch.setattr("gpen_core.serve.batching.time", SimpleNamespace(monotonic=lambda: now[0]))
    with running() as service:
        answers = [service.ask("/restore?mask=parser", encoded(seed)) for seed in range(3)]
        assert [answer.status for answer in answers] == [503] * 3
        assert {answer.said["error"] for answer in answers} == {"parsenet cannot be fetched"}
        assert asked == [0]
        assert service.ask("/restore?mask=ellipse", encoded()).status == 200
        now[0] = 60.0
        assert [service.ask("/restore?mask=parser", encoded()).status for _ in range(2)] == [200] * 2
        assert asked == [0, 60]


def test_what_takes_too_long_is_given_up():
    gate = Gate()
    with running(restorer(gate.network), seconds=0.2) as service:
        answer = service.ask(body=encoded())
        assert (answer.status, service.waiting) == (504, 0)
        assert "no result within 0.2 seconds" in answer.said["error"]
        gate.open.set()


def test_a_client_that_goes_away_leaves_nothing_and_its_picture_is_not_restored():
    gate = Gate()
    with running(restorer(gate.network)) as service, ThreadPoolExecutor(1) as clients:
        first = clients.submit(service.ask, body=encoded())
        assert gate.reached.wait(PATIENCE)
        body = encoded(5)
        with socket.create_connection(("127.0.0.1", service.port)) as leaving:
            head = f"POST /restore HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
            leaving.sendall(head.encode() + body)
            service.until(lambda: service.waiting == 2)
        service.until(lambda: service.waiting == 1)
        gate.open.set()
        assert first.result().status == 200
        assert 'status="499"} 1' in service.ask("/metrics").body.decode()
    assert gate.network.batches == [1]


def test_a_client_that_goes_away_in_the_middle_of_its_body_leaves_nothing(service):
    before = service.ask("/metrics").body.decode().count('status="499"')
    with socket.create_connection(("127.0.0.1", service.port)) as leaving:
        leaving.sendall(b"POST /restore HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900\r\n\r\nabc")
        service.until(lambda: service.waiting == 1)
    service.until(lambda: service.waiting == 0)
    assert service.ask("/metrics").body.decode().count('status="499"') == before + 1


def test_a_body_that_does_not_come_is_given_up():
    with running(upload_seconds=0.2) as service:
        with socket.create_connection(("127.0.0.1", service.port)) as slow:
            slow.sendall(b"POST /restore HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nabc")
            assert slow.recv(12) == b"HTTP/1.1 408"
        assert service.waiting == 0


def test_a_token_is_asked_for_everywhere_but_at_health():
    with running(token=TOKEN) as service:
        for path, body in (("/restore", encoded()), ("/metrics", None)):
            assert service.ask(path, body).status == 401
            assert service.ask(path, body, Authorization="Bearer wrong\xff").status == 401
            assert service.ask(path, body, Authorization=f"Bearer {TOKEN}", Host="example.org").status == 200
        assert service.ask("/health").status == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:80"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Host": "[::1]:80"}, 200),
        ({"Origin": "https://evil.example"}, 403),
        ({"Host": "localhost:1", "Origin": "http://localhost:1"}, 200),
    ],
)
def test_without_a_token_no_other_site_reaches_it(service, headers, status):
    assert service.ask(body=encoded(), **headers).status == status


def test_a_place_that_is_taken_is_said_before_anything_is_loaded():
    with bound("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=rf"port {port} of 127.0.0.1 is in use; choose another with --port"):
            bound("127.0.0.1", port)
    with pytest.raises(InputError, match="choose another --host or --port"):
        bound("no.such.host.invalid", 0)
    with pytest.raises(InputError, match="port is 70000; expected 0"):
        bound("127.0.0.1", 70000)
