"""Options say themselves: one field makes the check, the flag and its help."""

from __future__ import annotations

import argparse
import inspect
import math
from collections.abc import Callable
from dataclasses import MISSING, fields, replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpen_core.cli.flags import add_flags, with_flags
from gpen_core.config import GPENConfig, ModelCard
from gpen_core.errors import ConfigError
from gpen_core.fields import Option, changed, described
from gpen_core.film_options import FilmOptions, Smoothing
from gpen_core.options import Blending, Masking, RestoreOptions, Selection
from gpen_core.serve_options import ServeOptions

PARTS = (Selection, Masking, Blending, RestoreOptions, FilmOptions, Smoothing)
EVERY = [(part, entry) for part in PARTS for entry in described(part).values()]


@pytest.mark.parametrize("part", PARTS)
def test_every_field_says_itself_in_sentences(part: type) -> None:
    assert [field.name for field in fields(part)] == list(described(part))
    for entry in described(part).values():
        assert entry.help.endswith("."), entry.name
        assert bool(entry.none) == entry.optional, f"{entry.name}: say what None stands for"
        if field_default(part, entry.name) is not MISSING:
            assert entry.checked(entry.default) == entry.default


def field_default(part: type, name: str) -> object:
    (field,) = (field for field in fields(part) if field.name == name)
    return field.default


@pytest.mark.parametrize(("part", "entry"), EVERY, ids=lambda value: getattr(value, "name", None))
def test_whatever_is_not_expected_is_refused_in_words(part: type, entry: Option) -> None:
    strange = [float("nan"), -1, 10**400, "no such word", b"x", [1.5], {"a": "b"}, object(), 1j, np.ones((2, 2))]
    if not entry.optional:
        strange.append(None)
    said = [str(error) for value in strange if (error := refusal(part, entry.name, value)) is not None]
    for words in said:
        assert words.startswith((entry.name, "min_size", "films are smoothed"))
        assert "expected" in words or "larger" in words or "asked for" in words
        assert "\n" not in words
        assert len(words) < 400
    assert len(said) >= (6 if entry.kind is str and not entry.choices else 8)


def refusal(part: type, name: str, value: object) -> ConfigError | None:
    try:
        part(**{name: value})
    except ConfigError as error:
        return error
    return None


@given(value=st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.floats())))
@settings(max_examples=150, deadline=None)
def test_any_value_is_kept_in_its_own_kind_or_refused(value: object) -> None:
    for entry in described(Selection).values():
        try:
            kept = getattr(Selection(**{entry.name: value}), entry.name)
        except ConfigError:
            continue
        assert kept is None or isinstance(kept, entry.container or entry.kind)


def test_numbers_of_other_libraries_are_numbers() -> None:
    selection = Selection(threshold=np.float32(0.5), largest=np.int64(2), rotations=np.bool_(True), min_size=3)
    assert [type(v) for v in (selection.threshold, selection.largest, selection.rotations, selection.min_size)] == [
        float,
        int,
        bool,
        float,
    ]
    assert Masking(margin=Fraction(1, 8)).margin == 0.125


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Selection(threshold=math.nan), "threshold is nan; expected a number from 0 to 1"),
        (lambda: Selection(order="sise"), r"expected one of found, size, .*; did you mean size\?"),
        (lambda: Selection(largest=True), "expected a whole number of at least 1, or None"),
        (lambda: Selection(min_size=9, max_size=3), "min_size 9 is larger than max_size 3"),
        (lambda: Blending(region_strength={"ears": 1}), "each for one of eyes, mouth, skin, hair"),
        (lambda: Blending(face_strength={0: 2}), "numbers from 0 to 1, each for the number of a face"),
        (lambda: RestoreOptions(selection={"threshold": 1}), "expected a Selection"),
        (lambda: FilmOptions(segment=12), "a multiple of 8"),
    ],
)
def test_a_refusal_names_value_and_expectation(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RestoreOptions(batchsize=4), r"^RestoreOptions has no batchsize; did you mean batch_size\?$"),
        (lambda: replace(RestoreOptions(), batchsize=4), r"did you mean batch_size\?$"),
        (lambda: RestoreOptions(strength=0.5), r"did you mean blending=Blending\(strength=…\)\?$"),
        (lambda: RestoreOptions(min_sise=9), r"did you mean selection=Selection\(min_size=…\)\?$"),
        (lambda: FilmOptions(qualty=9), r"^FilmOptions has no qualty; did you mean quality\?$"),
        (lambda: ServeOptions(wholly_else=1), "^ServeOptions has no wholly_else; it has queue, max_body, "),
        (lambda: Blending(0.5), "^Blending is made of named values; expected such as strength=…$"),
        (lambda: ModelCard(tsak="colorization"), r"^ModelCard has no tsak; did you mean task\?$"),
        (lambda: GPENConfig.standard(64, n_mpl=2), r"has no field n_mpl; did you mean n_mlp\?$"),
        (lambda: GPENConfig.standard(64).with_options(n_mpl=2), r"has no field n_mpl; did you mean n_mlp\?$"),
    ],
)
def test_an_option_that_there_is_not_is_refused_with_the_nearest(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make()


def test_options_still_say_what_they_are_made_of() -> None:
    assert list(inspect.signature(RestoreOptions).parameters) == list(described(RestoreOptions))


def parsed(part: type, *words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_flags(parser.add_argument_group(), part)
    return parser.parse_args(words)


def test_flags_that_are_not_said_change_nothing() -> None:
    base = RestoreOptions.reference()
    for part in (Selection, Masking, Blending, RestoreOptions):
        assert with_flags(base, parsed(part)) == base


WORDS = ["size", "box", "crop", "laplacian", "hard", "ffhq", "reflect", "least_median", "cuda"]
SAMPLES = ["0,2", "0=0.5", "eyes=0.5", "2", "40", "0.1", "name", *WORDS]


@pytest.mark.parametrize("part", [Selection, Masking, Blending, RestoreOptions, FilmOptions])
def test_each_flag_sets_one_field_and_each_field_has_one(part: type) -> None:
    parser = argparse.ArgumentParser()
    add_flags(parser.add_argument_group(), part)
    touched = []
    for action in parser._actions[1:]:
        flag = action.option_strings[-1]
        tries = [(flag,)] if action.nargs == 0 else [(flag, value) for value in SAMPLES]
        (field,) = {name for words in tries for name in changed_by(part, *words)}
        touched.append(field)
    unsaid = {"selection", "masking", "blending", "least_feather", "eight_bits", "keep_crops", "smoothing"}
    assert sorted(touched) == sorted({*described(part)} - unsaid - {"resume", "overwrite", "allow_truncated"})


def changed_by(part: type, *words: str) -> set[str]:
    try:
        return set(changed(with_flags(part(), parsed(part, *words))))
    except (SystemExit, ConfigError):
        return set()


def test_a_flag_out_of_range_is_named_as_it_was_given() -> None:
    with pytest.raises(ConfigError, match=r"--detect-size is 5; expected a whole number of at least 32"):
        with_flags(Selection(), parsed(Selection, "--detect-size", "5"))


def test_only_what_was_changed_is_listed_by_its_dotted_name() -> None:
    assert changed(RestoreOptions()) == {}
    options = RestoreOptions(blending=Blending(strength=0.5, face_strength={1: 0.0}), sharpen=0)
    assert changed(options) == {"blending.strength": 0.5, "blending.face_strength": {1: 0.0}, "sharpen": 0.0}
