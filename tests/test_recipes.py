"""Recipes: every shipped one reads, and a mistake in one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpen_core.errors import ConfigError
from gpen_core.trainer.fields import parse_value
from gpen_core.trainer.recipe import Recipe, read_recipe

SHIPPED = sorted(p.stem for p in (Path(__file__).parent.parent / "gpen_core/trainer/recipes").glob("*.toml"))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_recipe_reads_and_says_its_own_name(name):
    assert read_recipe(name).name == name


def test_the_shipped_recipes_cover_every_stage():
    assert {read_recipe(name).stage for name in SHIPPED} == {"prior", "embed", "finetune"}


def test_the_open_models_shapes_have_about_7_7_million_parameters():
    from gpen_core.architecture import expected_shapes

    shapes = expected_shapes(read_recipe("finetune-256").network.config)
    count = 0
    for shape in shapes.values():
        size = 1
        for extent in shape:
            size *= extent
        count += size
    assert 7.5e6 < count < 7.9e6


def test_the_papers_rates_and_weights_are_the_defaults():
    recipe = Recipe(stage="finetune")
    assert (recipe.rates.encoder, recipe.rates.decoder, recipe.rates.discriminator) == (2e-3, 2e-4, 2e-5)
    assert (recipe.losses.adversarial, recipe.losses.content, recipe.losses.feature_matching) == (1.0, 1.0, 0.02)


def test_a_recipe_comes_back_from_its_own_values():
    recipe = read_recipe("finetune-256")
    assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_a_recipe_may_give_its_own_channel_table():
    table = {"4": 24, "8": 20, "16": 12}
    recipe = Recipe.from_dict({"stage": "prior", "network": {"size": 16, "channels": table}})
    assert dict(recipe.network.config.channels) == {4: 24, 8: 20, 16: 12}
    assert Recipe.from_dict(recipe.to_dict()) == recipe
    wider = read_recipe("prior-256", {"network.size": 8, "network.narrow": 0.25, "network.channels": {"4": 3, "8": 5}})
    assert dict(wider.network.config.channels) == {4: 3, 8: 5}


def test_a_recipe_sets_the_priors_own_options():
    recipe = Recipe.from_dict({"stage": "prior", "network": {"size": 16, "n_mlp": 2, "options": {"lr_mlp": 0.1}}})
    assert recipe.network.config.options.to_dict() == {"concat": True, "n_mlp": 2, "lr_mlp": 0.1}


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ({"channels": {"4": 8}}, r"channels name the resolutions \[4\]"),
        ({"channels": {"four": 8}}, "channels name four; they must be resolutions"),
        ({"channels": {"4": "many"}}, "network.channels.4 is 'many'; it must be a whole number"),
        ({"channels": 8}, "network.channels is 8; it must be a table"),
        ({"channels": {"4": 8}, "narrow": 0.5}, "channels are given, so narrow has nothing to say"),
        ({"options": {"rungs": 8}}, "'stylegan2' has no field rungs"),
        ({"options": {"n_mlp": 8}}, "options hold n_mlp, which are keys of the network"),
    ],
)
def test_a_network_that_contradicts_itself_is_refused(network, message):
    with pytest.raises(ConfigError, match=message):
        Recipe.from_dict({"stage": "prior", "network": network})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stage": "finetune", "losses": {"conten": 1.0}}, "unknown key losses.conten; did you mean content"),
        ({"stage": "finetune", "sed": 1}, "unknown key sed; did you mean seed"),
        ({"stage": "finetun"}, "stage is 'finetun'; it must be one of prior, embed, finetune"),
        ({}, "the recipe lacks stage"),
        ({"stage": "prior", "data": {"batch": "many"}}, "data.batch is 'many'; it must be a whole number"),
        ({"stage": "prior", "data": {"batch": 0}}, "batch is 0; it must be at least 1"),
        ({"stage": "prior", "data": 3}, "data is 3; it must be a table"),
        ({"stage": "prior", "network": {"size": 100}}, "in_size is 100"),
        ({"stage": "prior", "data": {"degradation": "balansed"}}, "did you mean balanced"),
        ({"stage": "prior", "losses": {"r1": float("nan")}}, "r1 is nan"),
        ({"stage": "prior", "data": {"upscale": 1}}, "data.upscale is 1"),
        ({"stage": "prior", "data": {"batch": 2.5}}, r"data.batch is 2\.5; it must be a whole number"),
        ({"stage": "prior", "rates": {"decoder": float("inf")}}, "rates.decoder is inf; it must be a finite number"),
        ({"stage": "prior", "network": {"narrow": float("nan")}}, "network.narrow is nan"),
        ({"stage": "prior", "run": {"ema_ramp": -1}}, r"\[run\] ema_ramp is -1\.0; it must be at least 0"),
        ({"stage": "prior", "augmentation": {"target": 2}}, r"target is 2\.0; it must be at most 1"),
        ({"stage": "prior", "seed": 10**23}, "seed is 10{23}; it must lie between"),
    ],
)
def test_a_mistake_in_a_recipe_is_named(values, message):
    with pytest.raises(ConfigError, match=message):
        Recipe.from_dict(values)


def test_changes_from_the_command_line_go_over_the_file():
    changed = read_recipe("prior-256", {"network.size": 64, "data.batch": 3, "name": "mine"})
    assert (changed.network.size, changed.data.batch, changed.name) == (64, 3, "mine")
    assert changed.network.narrow == read_recipe("prior-256").network.narrow


def test_a_change_below_a_value_is_refused():
    with pytest.raises(ConfigError, match=r"stage\.x cannot be set: stage is a value"):
        read_recipe("prior-256", {"stage.x": 1})


def test_a_file_that_is_no_toml_is_refused_with_its_line(tmp_path):
    (tmp_path / "bad.toml").write_text("stage = \n")
    with pytest.raises(ConfigError, match=r"bad.toml is not a TOML file: .*line 1"):
        read_recipe(tmp_path / "bad.toml")


def test_a_recipe_that_is_not_there_is_refused_with_the_shipped_names():
    with pytest.raises(ConfigError, match=r"no recipe prior-255: neither a file nor one of .*prior-256"):
        read_recipe("prior-255")


@pytest.mark.parametrize(("text", "value"), [("4", 4), ("2e-3", 2e-3), ("true", True), ("balanced", "balanced")])
def test_values_on_the_command_line_are_read_as_toml(text, value):
    assert parse_value(text) == value
