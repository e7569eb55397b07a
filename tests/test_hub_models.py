"""Models by name from a Hub on the loopback, and to it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fake_hub import COMMIT, FakeHub
from huggingface_hub import constants
from safetensors.torch import save
from small_models import CARD, SMALL, small_model

from gpen_core.config import ModelCard
from gpen_core.errors import HubError, WeightsError
from gpen_core.weights import GPEN, load_detector, load_model, load_parser, zoo
from gpen_core.weights.description import Header, encode
from gpen_core.weights.entry import HubPlace, ZooEntry
from gpen_core.weights.location import locate


def packed(card: ModelCard | None = CARD) -> bytes:
    return save(dict(small_model().state_dict()), metadata=encode(Header(SMALL, card)))


def test_a_repository_of_ours_loads_by_its_name(served: FakeHub) -> None:
    served.files["me/gpen"] = {"model.safetensors": packed(), "README.md": b"", "config.json": b"{}"}
    model = load_model("me/gpen", prepare=False, device="cpu")
    assert (model.config, model.card) == (SMALL, CARD)
    assert GPEN.from_pretrained("me/gpen/model.safetensors", revision=COMMIT).card == CARD


def test_a_bare_repository_takes_its_card_from_config_json(served: FakeHub) -> None:
    values = {"model_type": "gpen", "config": SMALL.to_dict(), "card": CARD.to_dict()}
    files = {"model.safetensors": save(dict(small_model().state_dict())), "config.json": json.dumps(values).encode()}
    served.files["me/bare"] = files
    assert GPEN.from_pretrained("me/bare").card == CARD


def test_a_path_comes_before_a_name_of_the_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "GPEN-BFR-512").write_bytes(b"x")
    assert locate("GPEN-BFR-512").path == Path("GPEN-BFR-512")


def test_a_model_fetched_by_its_name_has_the_zoos_card(served: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(constants.HF_HOME) / "m.pth"
    path.parent.mkdir(exist_ok=True)
    torch.save(dict(small_model().state_dict()), path)
    served.files["me/old"] = {"m.pth": path.read_bytes()}
    card = replace(CARD, name="old", task="inpainting")
    entry = ZooEntry(
        name="old",
        kind="restorer",
        summary="a test",
        file="m.pth",
        licence="MIT",
        origin="a test",
        places=(HubPlace(repo="me/old", path="m.pth"),),
        card=card,
    )
    monkeypatch.setattr(zoo, "MODELS", (entry,))
    model = load_model("old", prepare=False, device="cpu")
    assert (model.card.name, model.card.task, model.card.details["card_from"]) == ("old", "inpainting", "zoo")


def test_a_model_is_published_with_config_and_card(served: FakeHub) -> None:
    model = GPEN(SMALL, CARD)
    address = model.push_to_hub("me/new", token="hf_fake", private=True)
    assert address == f"{served.url}/me/new/commit/{COMMIT}"
    sent = {line["value"]["path"] for line in served.committed if line["key"] == "file"}
    assert sent == {"README.md", "config.json", "model.safetensors"}


def test_publishing_without_the_right_token_is_refused(served: FakeHub) -> None:
    with pytest.raises(HubError, match="set HF_TOKEN"):
        GPEN(SMALL, CARD).push_to_hub("me/new", token="hf_wrong")


def test_publishing_without_a_network_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", refused_by_the_network)
    said = r"me/new cannot be published \(.*Name or service not known\); check the network, or .*--folder"
    with pytest.raises(HubError, match=said):
        GPEN(SMALL, CARD).push_to_hub("me/new", token="hf_fake")


def refused_by_the_network(*words: object, **more: object) -> None:
    raise OSError(-2, "Name or service not known")


def test_weights_of_unsettled_licence_are_not_published(served: FakeHub) -> None:
    with pytest.raises(HubError, match="redistribution is not settled"):
        GPEN(SMALL, replace(CARD, licence=zoo.UNSETTLED)).push_to_hub("me/new", token="hf_fake")
    assert served.requests == []


@pytest.mark.parametrize(
    ("load", "name"), [(load_model, "parsenet"), (load_detector, "GPEN-BFR-512"), (load_parser, "open")]
)
def test_a_name_of_another_kind_is_refused_before_anything_is_fetched(
    served: FakeHub, load: Callable[[str], object], name: str
) -> None:
    with pytest.raises(WeightsError, match=r"is needed; the zoo has"):
        load(name)
    assert served.requests == []
