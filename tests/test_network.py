"""Servers are knocked at before anything is fetched, each once."""

from types import SimpleNamespace

import pytest
from fake_hub import CONTENT, FakeHub
from huggingface_hub import constants
from test_hub import HERE, known

from gpen_core.errors import HubError
from gpen_core.weights import cache, fetching, hub, network
from gpen_core.weights.entry import HubPlace, WebPlace


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A network whose servers do not answer; the hosts that were asked, each to answer within seconds."""
    asked = []

    def connect(server: tuple[str, int], timeout: float) -> None:
        asked.append(server[0] if timeout < 5 else f"{server[0]} for {timeout} s")
        raise TimeoutError

    monkeypatch.setattr(network, "socket", SimpleNamespace(create_connection=connect))
    monkeypatch.setattr(network, "getproxies", dict)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.example")
    return asked


def test_without_a_network_a_download_is_given_up_after_one_knock(silence: list[str]) -> None:
    with pytest.raises(HubError, match=r"give its path \(one.example, two.example, hub.example cannot be reached\)"):
        fetching.fetch(known(*(WebPlace(url=f"https://{name}.example/x") for name in ("one", "two", "two")), HERE))
    for ask in (lambda: hub.fetch_repository_file("me/model", "x.bin"), lambda: hub.repository_files("me/model")):
        with pytest.raises(HubError, match="cannot be reached; check the network"):
            ask()
    assert sorted(silence) == ["hub.example"] * 3 + ["one.example", "two.example"]


def test_a_place_that_does_not_answer_is_passed_over_within_seconds(
    served: FakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache.time, "sleep", lambda seconds: pytest.fail("it was tried again"))
    assert fetching.fetch(known(WebPlace(url="http://127.0.0.1:9/x"), HERE)).read_bytes() == CONTENT


def test_a_server_is_knocked_at_once_a_fetch(served: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    served.files["me/model"] |= {hub.WEIGHTS_NAME: CONTENT, hub.CONFIG_NAME: b"{}"}
    knocked, knock = [], network.socket.create_connection

    def counted(server: tuple[str, int], timeout: float) -> object:
        knocked.append(server)
        return knock(server, timeout=timeout)

    monkeypatch.setattr(network, "socket", SimpleNamespace(create_connection=counted))
    assert hub.fetch_repository_file("me/model").read_bytes() == CONTENT
    assert len(knocked) == 1
    gone = HubPlace(repo="me/model", path="gone"), WebPlace(url=f"{served.url}/gone")
    assert fetching.fetch(known(*gone, HERE)).read_bytes() == CONTENT
    assert len(knocked) == 2


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("http://mirror.example", ("mirror.example", 80)),
        ("https://mirror.example", ("mirror.example", 443)),
        ("http://mirror.example:8080/hub", ("mirror.example", 8080)),
        ("https://someone:secret@[::1]:8443", ("::1", 8443)),
    ],
)
def test_the_port_that_is_knocked_at_is_the_addresss_own_or_its_schemes(
    monkeypatch: pytest.MonkeyPatch, endpoint: str, expected: tuple[str, int]
) -> None:
    asked = []

    def connect(server: tuple[str, int], timeout: float) -> SimpleNamespace:
        asked.append(server)
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(network, "socket", SimpleNamespace(create_connection=connect))
    monkeypatch.setattr(network, "getproxies", dict)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    assert network.Servers([HERE]).reach(HERE)
    assert asked == [expected]


@pytest.mark.parametrize("url", ["mirror.example", "http://mirror:port", "http://["])
def test_an_address_that_names_no_server_is_left_to_the_download(silence: list[str], url: str) -> None:
    place = WebPlace(url=url)
    assert network.Servers([place]).reach(place)
    assert silence == []


def test_offline_no_server_is_knocked_at(silence: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert not network.Servers([HERE]).reach(HERE)
    assert silence == []


def test_a_proxy_is_left_to_answer(silence: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "getproxies", lambda: {"https": "http://proxy.example", "no": "localhost"})
    assert network.Servers([HERE]).reach(HERE)
    monkeypatch.setattr(network, "getproxies", lambda: {"no": "localhost"})
    assert not network.Servers([HERE]).reach(HERE)
    assert silence == ["hub.example"]
