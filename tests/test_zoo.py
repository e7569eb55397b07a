"""The table of known files agrees with the facts that are known of them."""

import pytest

from gpen_core.architecture import expected_shapes
from gpen_core.errors import ConfigError, WeightsError
from gpen_core.weights import zoo
from gpen_core.weights.entry import HubPlace, WebPlace, ZooEntry

RESTORERS = [entry for entry in zoo.MODELS if entry.config is not None]


def test_names_and_aliases_are_unique() -> None:
    spellings = [name.lower() for entry in zoo.MODELS for name in {entry.name, *entry.aliases}]
    assert len(spellings) == len(set(spellings))


@pytest.mark.parametrize("entry", RESTORERS, ids=lambda e: e.name)
def test_official_configurations_have_the_official_numbers_of_parameters(entry: ZooEntry) -> None:
    assert entry.config is not None
    sizes = {name: shape for name, shape in expected_shapes(entry.config).items() if not name.endswith("kernel")}
    total = 0
    for shape in sizes.values():
        count = 1
        for length in shape:
            count *= length
        total += count
    assert total == entry.parameters


def test_the_seven_official_restorers_are_there_with_their_ranges_and_licence() -> None:
    assert len(RESTORERS) == 7
    for entry in RESTORERS:
        assert entry.card is not None
        assert entry.card.value_range == ((0.0, 1.0) if entry.card.task == "segmentation" else (-1.0, 1.0))
        assert entry.card.template == "gpen"
        assert entry.licence == entry.card.licence == "non-commercial, unsettled"
        assert entry.bundled is None


def test_every_file_has_a_place_and_known_hashes_are_whole() -> None:
    for entry in zoo.MODELS:
        assert entry.places or entry.bundled
        for place in entry.places:
            assert isinstance(place, HubPlace) or place.url.startswith("https://")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("gpen-bfr-512", "GPEN-BFR-512"),
        ("GPEN-BFR-512.pth", "GPEN-BFR-512"),
        ("RetinaFace-R50", "retinaface-resnet50"),
        ("detection_Resnet50_Final.pth", "retinaface-resnet50"),
        ("ParseNet-latest", "parsenet"),
        ("model_ir_se50.pth", "arcface-ir-se50"),
    ],
)
def test_a_file_is_found_by_name_alias_and_file_name_in_any_case(asked: str, found: str) -> None:
    assert zoo.find(asked).name == found


def test_a_file_is_found_by_its_hash() -> None:
    entry = zoo.with_hash("f1002c41add95b0decad69604d80455576f7187dd99ca16bd611bcfd44c10b51")
    assert entry is not None
    assert (entry.name, entry.size) == ("GPEN-BFR-512", 284_085_738)
    assert zoo.with_hash("0" * 64) is None


def test_models_of_the_same_shapes_are_told_apart_by_task_alone() -> None:
    alike = zoo.restorers_like(next(e.config for e in RESTORERS if e.name == "GPEN-BFR-1024"))
    assert {e.card.task for e in alike if e.card} == {"restoration", "colorization", "inpainting"}


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(WeightsError, match=r"did you mean parsenet\?"):
        zoo.find("parsnet")


def test_an_entry_checks_itself() -> None:
    fields = {"name": "x", "kind": "parser", "summary": "", "file": "x", "licence": "", "origin": ""}
    with pytest.raises(ConfigError, match="no place"):
        ZooEntry(**fields)
    with pytest.raises(ConfigError, match="64 lowercase"):
        ZooEntry(**fields, places=(WebPlace(url="https://x"),), sha256="ABC")
