"""Configurations and cards check themselves and go through JSON."""

import copy
import json
import pickle

import pytest

from gpen_core.config import GPENConfig, ModelCard
from gpen_core.errors import ConfigError


def test_the_standard_table_is_stylegan2s() -> None:
    table = GPENConfig.standard(2048).channels
    assert dict(table) == {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128, 512: 64, 1024: 32, 2048: 16}
    assert dict(GPENConfig.standard(256, channel_multiplier=1, narrow=0.5).channels) == {
        4: 256, 8: 256, 16: 256, 32: 256, 64: 128, 128: 64, 256: 32,
    }  # fmt: skip


def test_a_configuration_survives_json_copying_and_pickling() -> None:
    config = GPENConfig.standard(64, out_size=128, narrow=0.25, concat=False, style_dim=32)
    assert GPENConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert copy.deepcopy(config) == config
    assert pickle.loads(pickle.dumps(config)) == config
    assert hash(copy.deepcopy(config)) == hash(config)


def test_a_card_survives_json() -> None:
    card = ModelCard(
        name="a", task="segmentation", value_range=(0, 1), template="ffhq", border="reflect", details={"n": 1}
    )
    assert ModelCard.from_dict(json.loads(json.dumps(card.to_dict()))) == card


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"in_size": 500}, "500.*power of two"),
        ({"in_size": 128, "out_size": 64}, "128.*64"),
        ({"channels": {4: 8, 8: 8}}, r"\[4, 8\].*64"),
        ({"channels": {4: 0, 8: 1, 16: 1, 32: 1, 64: 1}}, "channels at 4 is 0"),
        ({"channels": 3}, "channels"),
        ({"style_dim": 0}, "style_dim is 0"),
        ({"lr_mlp": float("nan")}, "lr_mlp"),
        ({"size": 64}, "no field size"),
    ],
)
def test_a_configuration_that_cannot_be_built_is_refused(change: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        GPENConfig.from_dict({**GPENConfig.standard(64).to_dict(), **change})


def test_a_configuration_names_what_it_lacks() -> None:
    with pytest.raises(ConfigError, match="lacks out_size, channels"):
        GPENConfig.from_dict({"in_size": 64})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "upscaling"}, "upscaling.*restoration"),
        ({"template": "dlib"}, "dlib.*ffhq"),
        ({"value_range": (1, 0)}, "smaller"),
        ({"value_range": 3}, "two numbers"),
        ({"license": "MIT"}, "no field license"),
    ],
)
def test_a_card_out_of_its_choices_is_refused(change: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ModelCard.from_dict(change)
