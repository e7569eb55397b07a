"""Downloads while a node runs: shown, cancelled, and given up in seconds where there is no network."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_comfyui import Interrupted
from nodes_under_test import Pack


def entry(pack: Pack) -> Any:
    return pack.module("gpen_core.weights.zoo").find("GPEN-BFR-512")


def prepared(pack: Pack, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., Path]) -> Any:
    """The module, with a download in the place of the real one and a network that answers."""
    fetching = pack.module("nodes.fetching")
    monkeypatch.setattr(fetching.hub, "cached", lambda entry: None)
    monkeypatch.setattr(fetching.hub, "fetch", fetch)
    monkeypatch.setattr(fetching, "_check_network", lambda entry: None)
    return fetching


def test_a_download_moves_the_nodes_bar(pack: Pack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fetch(entry: Any, *, watch: Callable[[int, int], None]) -> Path:
        for share in range(1, 5):
            watch(share * entry.size // 4, entry.size)
            time.sleep(0.25)
        return tmp_path

    fetching = prepared(pack, monkeypatch, fetch)
    assert fetching.fetch(entry(pack)) == tmp_path
    values = [value for value, _, _ in pack.engine.progress]
    assert values == sorted(values)
    assert 0 < values[0] < entry(pack).size


def test_cancel_ends_a_download_between_two_chunks(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[float] = []

    def fetch(entry: Any, *, watch: Callable[[int, int], None]) -> Path:
        try:
            for done in range(1000):
                watch(done, entry.size)
                time.sleep(0.05)
        finally:
            ended.append(time.monotonic())
        raise AssertionError("the download went on")

    fetching = prepared(pack, monkeypatch, fetch)
    pack.engine.interrupt_after = 6
    began = time.monotonic()
    with pytest.raises(Interrupted):
        fetching.fetch(entry(pack))
    assert time.monotonic() - began < 3
    for _ in range(100):
        if ended:
            break
        time.sleep(0.02)
    assert ended


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("http://mirror.local", ("mirror.local", 80)),
        ("https://mirror.local", ("mirror.local", 443)),
        ("http://mirror.local:8080/hub", ("mirror.local", 8080)),
        ("https://someone:secret@[::1]:8443", ("::1", 8443)),
    ],
)
def test_the_port_that_is_knocked_at_is_the_addresss_own_or_its_schemes(
    pack: Pack, monkeypatch: pytest.MonkeyPatch, endpoint: str, expected: tuple[str, int]
) -> None:
    fetching, network, asked = pack.module("nodes.fetching"), pack.module("gpen_core.weights.network"), []

    class Connection:
        def close(self) -> None:
            pass

    def connect(address: tuple[str, int], timeout: float) -> Connection:
        asked.append(address)
        return Connection()

    place = pack.module("gpen_core.weights.entry").HubPlace(repo="me/model", path="model.safetensors")
    monkeypatch.setattr(network.socket, "create_connection", connect)
    monkeypatch.setattr(network, "getproxies", dict)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    fetching._check_network(replace(entry(pack), places=(place,)))
    assert asked == [expected]


def test_an_address_that_names_no_server_is_left_to_the_download(pack: Pack) -> None:
    network = pack.module("gpen_core.weights.network")
    assert [network._server(url) for url in ("mirror.local", "http://mirror:port", "http://[")] == [None] * 3


def test_without_a_network_a_node_says_so_within_seconds_in_one_line(
    pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetching, network = pack.module("nodes.fetching"), pack.module("gpen_core.weights.network")

    def unreachable(address: tuple[str, int], timeout: float) -> None:
        time.sleep(timeout)
        raise TimeoutError

    monkeypatch.setattr(fetching.hub, "cached", lambda entry: None)
    monkeypatch.setattr(network.socket, "create_connection", unreachable)
    monkeypatch.setattr(network, "getproxies", dict)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    began = time.monotonic()
    with pytest.raises(pack.module("gpen_core.errors").HubError, match="no network") as caught:
        fetching.fetch(entry(pack))
    assert time.monotonic() - began < 3
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def without_network(pack: Pack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    fetching, network = pack.module("nodes.fetching"), pack.module("gpen_core.weights.network")

    def unreachable(address: tuple[str, int], timeout: float) -> None:
        raise OSError("Name or service not known")

    def asked(*arguments: Any, **named: Any) -> None:
        raise AssertionError("the Hub was asked")

    monkeypatch.setattr(network.socket, "create_connection", unreachable)
    monkeypatch.setattr(fetching.hub, "locate", asked)
    monkeypatch.setattr(network, "getproxies", dict)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path))
    return fetching


def test_a_repository_without_a_network_is_given_up_within_seconds_in_one_line(
    pack: Pack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    without_network(pack, monkeypatch, tmp_path)
    began = time.monotonic()
    with pytest.raises(pack.module("gpen_core.errors").HubError) as caught:
        pack.run("GPEN_LoadModel", model="gpen-open", repository="nobody/nothing-here")
    assert time.monotonic() - began < 4
    assert str(caught.value) == (
        "nobody/nothing-here cannot be fetched: no network (huggingface.co cannot be reached); "
        "leave repository empty and choose gpen-open, which ships"
    )


def test_a_repository_that_was_fetched_before_is_taken_without_a_network(
    pack: Pack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fetching = without_network(pack, monkeypatch, tmp_path)
    folder = tmp_path / "models--me--model"
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    (folder / "snapshots" / "abc" / "model.safetensors").write_bytes(b"weights")
    assert fetching.fetch_repository("me/model") == folder / "snapshots" / "abc"
    assert fetching.fetch_repository("me/model/model.safetensors") == folder / "snapshots" / "abc" / "model.safetensors"


@pytest.mark.parametrize("source", ["gpen-open", "./model.safetensors", "https://huggingface.co/a/b", "gpen_core/cli"])
def test_what_is_no_repository_is_left_to_the_loader(
    pack: Pack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, source: str
) -> None:
    fetching = without_network(pack, monkeypatch, tmp_path)
    monkeypatch.chdir(Path(__file__).parents[2])
    assert fetching.fetch_repository(source) == source


def test_cancel_leaves_a_repository_that_is_slow_to_come(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    fetching = pack.module("nodes.fetching")
    monkeypatch.setattr(fetching, "_reach", lambda name, places: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    there = threading.Event()

    def locate(source: str, kind: str) -> None:
        there.wait(20)
        raise pack.module("gpen_core.errors").HubError("nobody waits for it any more")

    monkeypatch.setattr(fetching.hub, "locate", locate)
    pack.engine.interrupt_after = 3
    began = time.monotonic()
    with pytest.raises(Interrupted):
        fetching.fetch_repository("me/model")
    assert time.monotonic() - began < 3
    there.set()
