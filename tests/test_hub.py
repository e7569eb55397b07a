"""Fetching, with the Hub's real client, from a Hub on the loopback."""

import hashlib
import io
import logging
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from fake_hub import COMMIT, CONTENT, FakeHub
from huggingface_hub import constants

from gpen_core.errors import HashMismatchError, HubError
from gpen_core.weights import cache, fetching, hub, network, zoo
from gpen_core.weights.cache import fetched_folder
from gpen_core.weights.entry import HubPlace, WebPlace, ZooEntry

SHA256 = hashlib.sha256(CONTENT).hexdigest()


def known(*places: HubPlace | WebPlace, sha256: str | None = SHA256, size: int | None = len(CONTENT)) -> ZooEntry:
    return ZooEntry(
        name="test-weights",
        kind="upscaler",
        summary="a test",
        file="weights.bin",
        licence="Apache-2.0",
        origin="a test",
        places=places,
        size=size,
        sha256=sha256,
    )


HERE = HubPlace(repo="me/model", path="weights.bin")


def test_a_file_is_fetched_once_and_then_found_without_the_network(served: FakeHub) -> None:
    entry = known(HERE)
    assert fetching.cached(entry) is None
    path = fetching.fetch(entry)
    assert path.read_bytes() == CONTENT
    asked = len(served.requests)
    assert fetching.fetch(entry) == path
    assert fetching.cached(entry) == path
    assert len(served.requests) == asked


def test_a_repository_file_is_asked_for_but_not_fetched_again(served: FakeHub) -> None:
    first = hub.fetch_repository_file("me/model", "weights.bin")
    assert hub.fetch_repository_file("me/model", "weights.bin") == first
    assert len(served.seen("HEAD", "/resolve/main/weights.bin")) == 2
    assert len(served.seen("GET", "/cdn/me/model/weights.bin")) == 1
    assert COMMIT in str(first)


def test_a_cut_connection_to_the_hub_is_resumed(served: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 10_000)
    served.cut = [100_000]
    assert fetching.fetch(known(HERE)).read_bytes() == CONTENT
    assert served.seen("GET", "/cdn/me/model/weights.bin") == [None, "bytes=100000-"]


def test_a_cut_connection_to_a_plain_address_is_resumed(served: FakeHub) -> None:
    served.cut = [100_000, 50_000]
    entry = known(WebPlace(url=f"{served.url}/plain/weights.bin"))
    assert fetching.fetch(entry).read_bytes() == CONTENT
    assert served.seen("GET", "/plain/weights.bin") == [None, "bytes=100000-", "bytes=150000-"]


def test_a_plain_download_goes_on_where_an_earlier_one_stopped(served: FakeHub, tmp_path: Path) -> None:
    url, target = f"{served.url}/plain/weights.bin", tmp_path / "weights.bin"
    served.cut = [1000, 1000, 1000]
    with pytest.raises(HubError, match="cut after 3000 of"):
        cache.download(url, target)
    assert not target.exists()
    assert cache.download(url, target).read_bytes() == CONTENT
    assert served.seen("GET", "/plain/")[-1] == "bytes=3000-"
    assert not target.with_name("weights.bin.part").exists()


def test_a_server_without_ranges_is_asked_for_the_whole_file_again(served: FakeHub, tmp_path: Path) -> None:
    served.ignores_ranges = True
    served.cut = [100_000]
    assert cache.download(f"{served.url}/plain/weights.bin", tmp_path / "w.bin").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(served: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "w.bin.part").write_bytes(CONTENT + b"more")
    assert cache.download(f"{served.url}/plain/weights.bin", tmp_path / "w.bin").read_bytes() == CONTENT


def test_a_wrong_file_is_removed_and_the_next_place_tried(served: FakeHub) -> None:
    served.files["me/model"]["weights.bin"] = CONTENT[:-1] + b"!"
    served.files["you/mirror"] = {"w.bin": CONTENT}
    entry = known(HERE, HubPlace(repo="you/mirror", path="w.bin"))
    path = fetching.fetch(entry)
    assert path.read_bytes() == CONTENT
    assert fetching.cached(known(HERE)) is None
    assert fetching.cached(entry) == path


def test_a_file_of_wrong_hash_in_every_place_is_refused_and_removed(served: FakeHub, cache: Path) -> None:
    served.files["me/model"]["weights.bin"] = served.pages["/plain/weights.bin"] = CONTENT[:-1] + b"!"
    entry = known(HERE, WebPlace(url=f"{served.url}/plain/weights.bin"))
    with pytest.raises(HashMismatchError, match=f"instead of {SHA256[:12]}"):
        fetching.fetch(entry)
    assert fetching.cached(entry) is None
    left = [path for path in cache.rglob("*") if path.is_file() and path.stat().st_size > 10_000]
    assert left == []


def test_a_file_without_a_known_hash_is_fetched_and_its_hash_said(
    served: FakeHub, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        fetching.fetch(known(HERE, sha256=None, size=None))
    assert SHA256 in caplog.text
    assert "nobody vouches" in caplog.text


def test_places_are_tried_in_order_until_one_answers(served: FakeHub) -> None:
    gone = WebPlace(url=f"{served.url}/gone")
    entry = known(HubPlace(repo="me/gone", path="weights.bin"), gone, WebPlace(url=f"{served.url}/plain/weights.bin"))
    assert fetching.fetch(entry) == fetched_folder() / "weights.bin"
    with pytest.raises(
        HubError, match=r"put absent.bin.*2 places tried, the first: me/gone/weights.bin is not there or private"
    ):
        fetching.fetch(replace(known(HubPlace(repo="me/gone", path="weights.bin"), gone), file="absent.bin"))


@pytest.mark.parametrize(
    ("repo", "file", "revision", "expected"),
    [
        ("me/gone", "weights.bin", None, "set HF_TOKEN"),
        ("me/gone", None, None, "set HF_TOKEN"),
        ("me/model", "gone.bin", None, "no such file"),
        ("me/model", "weights.bin", "v9", "no such revision"),
        ("me/model", None, "v9", "no such revision"),
        ("me/secret", "weights.bin", None, "accept its terms"),
        ("me", "weights.bin", None, "owner/name"),
        ("me/model", None, None, "several files of weights: a.pth, weights.bin"),
        ("me/text", None, None, "no file of weights; it holds other.txt"),
    ],
)
def test_what_the_hub_refuses_is_said_with_the_remedy(
    served: FakeHub, repo: str, file: str | None, revision: str | None, expected: str
) -> None:
    served.gated.add("me/secret")
    served.files["me/model"]["a.pth"] = b"x"
    served.files["me/text"] = {"other.txt": b"text"}
    with pytest.raises(HubError) as caught:
        hub.fetch_repository_file(repo, file, revision=revision)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_hub_that_cannot_be_reached_is_said_with_the_remedy(served: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.fetch_repository_file("me/model", "weights.bin")
    dead = "http://127.0.0.1:9"
    monkeypatch.setattr(constants, "ENDPOINT", dead)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", dead + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert hub.fetch_repository_file("me/model", "weights.bin").read_bytes() == CONTENT
    with pytest.raises(HubError, match="set HF_ENDPOINT to a mirror"):
        hub.fetch_repository_file("me/model", "other.txt")
    with pytest.raises(HubError, match="cannot be fetched"):
        cache.download(f"{dead}/x", fetched_folder() / "x")


def test_what_the_hubs_client_says_of_its_tries_stays_out_of_the_way(
    served: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [io.StringIO(), io.StringIO()]
    theirs, ours = logging.getLogger("huggingface_hub"), logging.StreamHandler(said[1])
    shown = logging.StreamHandler(said[0])
    monkeypatch.setattr(theirs, "handlers", [shown])
    monkeypatch.setattr(logging.getLogger(), "handlers", [ours])
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr("time.sleep", lambda seconds: logging.getLogger("huggingface_hub.utils").warning("Retrying"))
    monkeypatch.setattr(network, "getproxies", lambda: {"all": "left to answer"})
    logging.getLogger("huggingface_hub.utils").warning("before")
    with pytest.raises(HubError, match="cannot be reached"):
        hub.fetch_repository_file("me/model", "other.txt")
    with pytest.raises(HubError):
        hub.repository_files("me/model")
    logging.getLogger("huggingface_hub.utils").warning("after")
    assert [stream.getvalue() for stream in said] == ["before\nafter\n"] * 2


def test_offline_the_cache_answers_and_nothing_is_asked(served: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    path = hub.fetch_repository_file("me/model", "weights.bin")
    asked = len(served.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub.fetch_repository_file("me/model", "weights.bin") == path
    assert hub.fetch_repository_file("me/model") == path
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set"):
        hub.fetch_repository_file("me/model", "other.txt")
    with pytest.raises(HubError, match="HF_HUB_OFFLINE is set"):
        fetching.fetch(known(WebPlace(url=f"{served.url}/plain/weights.bin")))
    assert len(served.requests) == asked


def test_two_threads_fetch_a_plain_file_once(served: FakeHub, tmp_path: Path) -> None:
    target = tmp_path / "weights.bin"
    threads = [
        threading.Thread(target=cache.download, args=(f"{served.url}/plain/weights.bin", target)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == CONTENT
    assert len(served.seen("GET", "/plain/")) == 1


PROCESS = """
import sys
from gpen_core.weights import fetching
from gpen_core.weights.entry import HubPlace, WebPlace, ZooEntry
for place in (HubPlace(repo="me/model", path="weights.bin"), WebPlace(url=sys.argv[1])):
    entry = ZooEntry(name="t", kind="upscaler", summary="", file="weights.bin", licence="", origin="", places=(place,),
                     sha256=sys.argv[2])
    print(fetching.fetch(entry))
"""


def test_two_processes_fetch_at_once_and_both_have_the_whole_file(served: FakeHub, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "HF_HOME": str(tmp_path),
        "HF_ENDPOINT": served.url,
        "HF_HUB_OFFLINE": "0",
        "PYTHONPATH": str(Path(__file__).parent.parent),
    }
    words = [sys.executable, "-c", PROCESS, f"{served.url}/plain/weights.bin", SHA256]
    started = [subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in started:
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        assert [Path(line).read_bytes() == CONTENT for line in out.splitlines()] == [True, True]
    assert len(served.seen("GET", "/plain/")) == 1


@pytest.mark.hub
@pytest.mark.skipif(not os.environ.get("GPEN_TEST_HUB"), reason="asks the live Hub; set GPEN_TEST_HUB=1")
def test_the_live_hub_has_the_usual_model() -> None:
    files = hub.repository_files("akhaliq/GPEN-BFR-512")
    assert "GPEN-BFR-512.pth" in files
    assert fetching.fetch(zoo.find("retinaface-resnet50")).stat().st_size == 109_497_761
