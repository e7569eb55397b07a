"""Writing weights: whole or not at all, and never needed for reading."""

import contextlib
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_models import CARD, SMALL, small_state

from gpen_core.config import GPENConfig
from gpen_core.errors import ConfigError, WeightsError
from gpen_core.weights import GPEN, checkpoint
from gpen_core.weights.cache import cache_folder
from gpen_core.weights.checkpoint import read_state_dict
from gpen_core.weights.location import Located


@contextlib.contextmanager
def little_space(kilobytes: int) -> Iterator[None]:
    """Files may not grow beyond this, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_no_space_left_leaves_no_half_written_file(tmp_path: Path) -> None:
    target = tmp_path / "out/m.safetensors"
    with little_space(20), pytest.raises(WeightsError, match="free some space"):
        checkpoint.write(target, small_state(), SMALL, CARD)
    assert list(target.parent.iterdir()) == []
    checkpoint.write(target, small_state(), SMALL, CARD)
    before = target.read_bytes()
    with little_space(20), pytest.raises(WeightsError, match="free some space"):
        checkpoint.write(target, small_state(), SMALL, CARD)
    assert [path.name for path in target.parent.iterdir()] == ["m.safetensors"]
    assert target.read_bytes() == before


def test_a_cache_without_space_is_done_without(tmp_path: Path) -> None:
    path = tmp_path / "m.pth"
    torch.save(small_state(), path)
    with little_space(20), pytest.warns(UserWarning, match="not kept"):
        found = GPEN.from_file(Located(path), task="restoration")
    assert found.config == SMALL
    assert list((cache_folder() / "converted").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    blocked = tmp_path / "file"
    blocked.write_text("a file where the cache's folder should be")
    monkeypatch.setattr(constants, "HF_HOME", str(blocked))
    path = tmp_path / "m.pth"
    torch.save(small_state(), path)
    with pytest.warns(UserWarning, match="not kept"):
        assert GPEN.from_file(Located(path), task="restoration").config == SMALL
    with pytest.warns(UserWarning, match="not kept"):
        assert read_state_dict(Located(path)).keys() == small_state().keys()


def test_only_safetensors_are_written(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"must end in \.safetensors"):
        checkpoint.write(tmp_path / "m.pth", small_state(), SMALL, CARD)
    with pytest.raises(ConfigError, match="JSON values"):
        checkpoint.write(tmp_path / "m.safetensors", small_state(), SMALL, replace(CARD, details={"x": float("nan")}))
    assert list(tmp_path.iterdir()) == []


def test_a_state_dict_of_another_configuration_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not fit"):
        checkpoint.write(tmp_path / "m.safetensors", small_state(), GPENConfig.standard(16, narrow=1 / 32), CARD)
    assert list(tmp_path.iterdir()) == []
