"""Whose face is restored."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from small_restorers import face, inverted
from torch import Tensor

from gpen_core.errors import ConfigError, FaceError
from gpen_core.measures.identity import Identity
from gpen_core.measures.person import Person, embed_reference
from gpen_core.restore import FaceRestorer

#: Three people, told by the colour of their skin-coloured squares, as a network of colours tells them.
PEOPLE = {"ann": (200, 40, 40), "bob": (40, 200, 40), "cem": (40, 40, 200)}
PLACES = {"ann": (10, 20), "bob": (110, 20), "cem": (210, 20)}


def by_colour(faces: Tensor) -> Tensor:
    return faces.mean((2, 3))


def crowd() -> np.ndarray:
    picture = np.full((110, 300, 3), 120, np.uint8)
    for name, (x, y) in PLACES.items():
        picture[y - 15 : y + 75, x - 10 : x + 75] = PEOPLE[name]
    return picture


def portrait(name: str) -> np.ndarray:
    return np.full((90, 90, 3), PEOPLE[name], np.uint8)


def everyone(pictures: Tensor) -> list:
    (wide,) = (picture.shape[-1] > 200 for picture in pictures)
    return [[face(x, y, 60) for x, y in PLACES.values()] if wide else [face(15, 15, 60)]]


IDENTITY = Identity(by_colour, "gpen")


def person(*who: str, spared: tuple[str, ...] = (), least: float = 0.8) -> Person:
    restorer = FaceRestorer(inverted(), everyone)
    names = [[embed_reference(restorer, IDENTITY, portrait(name)) for name in part] for part in (who, spared)]
    return Person(IDENTITY, *names, least=least)


def restored_ones(meant: Person) -> set[str]:
    before = crowd()
    result = FaceRestorer(inverted(), everyone).restore(before, strength_of=meant.choosing())
    changed = {name for name, (x, y) in PLACES.items() if (result.picture != before)[y : y + 60, x : x + 60].any()}
    assert {name for name, entry in zip(PLACES, result.faces, strict=True) if entry.strength} == changed
    return changed


def test_only_the_person_of_the_reference_is_restored_and_strangers_keep_every_pixel() -> None:
    assert restored_ones(person("bob")) == {"bob"}
    assert restored_ones(person("ann", "cem")) == {"ann", "cem"}


def test_who_is_spared_is_never_restored() -> None:
    assert restored_ones(person(spared=("bob",))) == {"ann", "cem"}
    assert restored_ones(person("ann", "bob", spared=("bob",))) == {"ann"}


def test_the_report_says_how_alike_each_face_is_and_other_strengths_still_count() -> None:
    meant = person("ann")
    result = FaceRestorer(inverted(), everyone).restore(
        crowd(), strength_of=meant.choosing(lambda crop, restored, strength: 0.25 * strength)
    )
    likeness = [meant.figures(entry, result.decoded)["likeness"] for entry in result.faces]
    assert likeness[0] == pytest.approx(1, abs=0.02)
    assert max(likeness[1:]) < 0.8
    assert [entry.strength for entry in result.faces] == [0.25, 0.0, 0.0]


def test_a_reference_shows_one_person() -> None:
    restorer = FaceRestorer(inverted(), everyone)
    with pytest.raises(FaceError, match="3 faces were found in the reference; a reference shows one person"):
        embed_reference(restorer, IDENTITY, crowd())
    with pytest.raises(FaceError, match="no face was found"):
        embed_reference(FaceRestorer(inverted(), lambda x: [[]]), IDENTITY, portrait("ann"))
    with pytest.raises(ConfigError, match="no reference says"):
        Person(IDENTITY)
    with pytest.raises(ConfigError, match="expected a cosine"):
        person("ann", least=3)


def test_a_network_may_say_from_where_on_faces_are_alike() -> None:
    def strict(faces: torch.Tensor) -> torch.Tensor:
        return by_colour(faces)

    strict.alike, strict.another = 0.95, 0.9  # type: ignore[attr-defined]
    identity = Identity(strict, "ffhq")
    assert Person(identity, [torch.ones(3)]).settings["least"] == 0.95
    assert Person(identity, [torch.ones(3)], least=0.5).settings["least"] == 0.5
    assert Person(Identity(by_colour, "ffhq"), [torch.ones(3)]).settings["least"] == 0.4
    assert identity.another == 0.9


def test_at_the_shell_a_stranger_stays_and_the_likeness_is_reported(tmp_path, monkeypatch, capsys) -> None:
    from gpen_core import GPEN, weights
    from gpen_core.cli.main import main
    from gpen_core.config import GPENConfig, ModelCard
    from gpen_core.measures import embedders
    from gpen_core.weights import checkpoint, location

    monkeypatch.setattr(weights, "load_detector", lambda source=None, device="auto": everyone)
    monkeypatch.setattr(embedders, "read_embedder", lambda path: by_colour)
    monkeypatch.setattr(location, "locate", lambda source, kind: SimpleNamespace(path=tmp_path))
    network = GPEN(GPENConfig.standard(32, narrow=0.05), generator=torch.Generator().manual_seed(1))
    checkpoint.write(tmp_path / "m.safetensors", network.state_dict(), network.config, ModelCard(name="small"))
    for name, pixels in (("crowd", crowd()), ("bob", portrait("bob"))):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    paths = [str(tmp_path / name) for name in ("crowd.png", "out.png", "m.safetensors", "bob.png")]
    words = ["restore", paths[0], "-o", paths[1], "--model", paths[2], "--quiet", "--no-keep-detail", "--who", paths[3]]
    assert main(words) == 1
    assert "--who needs --identity MODEL" in capsys.readouterr().err
    assert main([*words, "--identity", "net", "--alike", "0.8"]) == 0
    assert "1 picture, 3 faces, 2 not to be restored, by the options; report:" in capsys.readouterr().out
    rows = json.loads((tmp_path / "out.report.json").read_text())["pictures"][0]["faces"]
    assert [row["strength"] for row in rows] == [0.0, 1.0, 0.0]
    dry = [*words[:3], str(tmp_path / "dry.png"), *words[4:], "--dry-run"]
    assert main([*dry, "--identity", "net", "--alike", "0.8"]) == 0
    (found,) = json.loads((tmp_path / "dry.report.json").read_text())["pictures"][0]["faces"]
    assert found["box"] == rows[1]["box"]
    assert rows[1]["likeness"] == pytest.approx(1, abs=0.02)
    # A run goes on with the same person under whatever name, not with another under the same.
    words += ["--identity", "net", "--alike", "0.8", "--resume"]
    (tmp_path / "bob.png").rename(tmp_path / "same.png")
    capsys.readouterr()
    assert main([str(tmp_path / "same.png") if word == paths[3] else word for word in words]) == 0
    assert "1 done before" in capsys.readouterr().out
    Image.fromarray(portrait("ann")).save(tmp_path / "bob.png")
    assert main(words) == 1
    assert "had other settings (person.references was" in capsys.readouterr().err
