"""Downloads while a node runs: shown, cancelled, and given up where there is no network."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fake_comfyui import Interrupted
from nodes_under_test import Pack


def entry(pack: Pack) -> Any:
    return pack.module("gpen_core.weights.zoo").find("GPEN-BFR-512")


def prepared(pack: Pack, monkeypatch: pytest.MonkeyPatch, fetch: Callable[..., Path]) -> Any:
    """The module, with a download in the place of the real one."""
    fetching = pack.module("nodes.fetching")
    monkeypatch.setattr(fetching.fetching, "cached", lambda entry: None)
    monkeypatch.setattr(fetching.fetching, "fetch", fetch)
    return fetching


def test_a_download_moves_the_nodes_bar(pack: Pack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fetch(entry: Any, *, watch: Callable[[int, int], None], remedy: str) -> Path:
        for share in range(1, 5):
            watch(share * entry.size // 4, entry.size)
            while len(pack.engine.progress) < share:
                time.sleep(0.01)
        return tmp_path

    fetching = prepared(pack, monkeypatch, fetch)
    assert fetching.fetch(entry(pack)) == tmp_path
    values = [value for value, _, _ in pack.engine.progress]
    assert values == sorted(values)
    assert 0 < values[1] < entry(pack).size


def test_cancel_ends_a_download_between_two_chunks(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    def fetch(entry: Any, *, watch: Callable[[int, int], None], remedy: str) -> Path:
        try:
            while True:
                watch(1, entry.size)
                time.sleep(0.01)
        finally:
            ended.set()

    fetching = prepared(pack, monkeypatch, fetch)
    pack.engine.interrupt_after = 6
    with pytest.raises(Interrupted):
        fetching.fetch(entry(pack))
    assert ended.wait(60)


def silent(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine without a network; the hosts that were asked."""
    network, asked = pack.module("gpen_core.weights.network"), []

    def connect(server: tuple[str, int], timeout: float) -> None:
        asked.append(server[0])
        raise TimeoutError

    monkeypatch.setattr(network, "socket", SimpleNamespace(create_connection=connect))
    monkeypatch.setattr(network, "getproxies", dict)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    return asked


def test_without_a_network_a_node_says_so_in_one_line_after_one_knock(
    pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = silent(pack, monkeypatch)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda *_, **__: pytest.fail("the Hub was asked"))
    with pytest.raises(pack.module("gpen_core.errors").HubError) as caught:
        pack.module("nodes.fetching").fetch(entry(pack))
    assert str(caught.value) == (
        f"GPEN-BFR-512 cannot be fetched; check the network ({', '.join(asked)} cannot be reached)"
    )
    assert len(asked) == len(set(asked)) > 0


def test_a_repository_without_a_network_is_given_up_in_one_line_after_one_knock(
    pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = silent(pack, monkeypatch)
    with pytest.raises(pack.module("gpen_core.errors").HubError) as caught:
        pack.run("GPEN_LoadModel", model="gpen-open", repository="nobody/nothing-here")
    assert str(caught.value) == (
        "nobody/nothing-here: https://huggingface.co cannot be reached; check the network, or set HF_ENDPOINT to a "
        "mirror; or leave repository empty and choose gpen-open, which ships"
    )
    assert asked == ["huggingface.co"]


def test_a_repository_that_was_fetched_before_is_taken_without_a_network(
    pack: Pack, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    silent(pack, monkeypatch)
    folder = cache / "hub" / "models--me--model"
    (folder / "snapshots" / "abc").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc")
    weights = folder / "snapshots" / "abc" / "model.safetensors"
    weights.write_bytes(b"weights")
    fetching = pack.module("nodes.fetching")
    assert fetching.fetch_repository("me/model") == fetching.fetch_repository("me/model/model.safetensors") == weights


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("./model.safetensors", "there is no file ./model.safetensors"),
        ("https://huggingface.co/a/b", "repositories are called owner/name"),
        ("gpen_core/cli", "must hold model.safetensors"),
        ("gpen-opne", "gpen-open"),
    ],
)
def test_what_is_no_repository_is_refused_in_the_loaders_words_and_no_server_asked(
    pack: Pack, monkeypatch: pytest.MonkeyPatch, source: str, words: str
) -> None:
    asked = silent(pack, monkeypatch)
    monkeypatch.chdir(Path(__file__).parents[2])
    with pytest.raises(pack.module("gpen_core.errors").GPENError, match=words):
        pack.module("nodes.fetching").fetch_repository(source)
    assert asked == []


def test_a_name_of_the_zoo_in_the_place_of_a_repository_stays_that_name(pack: Pack) -> None:
    assert pack.module("nodes.fetching").fetch_repository("gpen-open") == "gpen-open"


def test_cancel_leaves_a_repository_that_is_slow_to_come(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    fetching, there = pack.module("nodes.fetching"), threading.Event()

    def locate(source: str, **how: Any) -> None:
        there.wait(60)

    monkeypatch.setattr(fetching, "locate", locate)
    pack.engine.interrupt_after = 3
    with pytest.raises(Interrupted):
        fetching.fetch_repository("me/model")
    assert not there.is_set()
    there.set()
