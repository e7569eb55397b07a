"""What every test may lean on."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from fake_hub import CONTENT, FakeHub, running_hub
from huggingface_hub import constants, file_download


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """One thread, as loader workers and the processes that tests start have: the order of a sum depends on it."""
    torch.set_num_threads(1)


@pytest.fixture
def two_cores() -> Iterator[None]:
    """The test's thread computes with two cores, on any machine."""
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the test's own: none reads the user's, none leaves anything there."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setattr(constants, "HF_HOME", str(home))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hub"))
    return home


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """A Hub with one repository, which the client takes for the real one."""
    with running_hub() as fake:
        template = fake.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", fake.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        # Older clients keep a copy of their own.
        monkeypatch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        fake.files["me/model"] = {"weights.bin": CONTENT, "other.txt": b"text"}
        fake.pages["/plain/weights.bin"] = CONTENT
        yield fake


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what takes minutes, unless it is asked for."""
    for marker in ("slow", "campaign"):
        if marker in config.option.markexpr:
            continue
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=f"takes minutes; run with -m {marker}"))
    if "browser" not in config.option.markexpr:
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.skip(reason="drives a browser; run with -m browser"))
