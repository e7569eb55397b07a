"""What nodes say: what became of the faces, and what to do where something is missing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from face_stand_ins import HEIGHT, WIDTH, face_at, photograph, stand_in_model
from nodes_under_test import Pack

FACES = [(10, 90, 30), (70, 50, 20), (130, 10, 40)]


def said(pack: Pack, monkeypatch: pytest.MonkeyPatch, node: str = "GPEN_RestoreFaces", **values: Any) -> str:
    """What the node shows on itself in the end."""
    lines: list[str] = []
    monkeypatch.setattr(pack.module("nodes.adapter"), "say", lambda node, text: lines.append(text))
    values.setdefault("gpen_model", stand_in_model(pack, faces=[face_at(pack, *place) for place in FACES], gain=0.5))
    pack.run(node, **{"image": photograph(), **values})
    return lines[-1]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "3 faces"),
        ({"image": torch.zeros(1, HEIGHT, WIDTH, 3)}, "no face found"),
        ({"face_numbers": "0"}, "1 face, 2 not chosen"),
        ({"face_numbers": "7"}, "no face restored, 3 not chosen"),
        ({"visibility": 0.0}, "nothing is to be changed"),
        ({"mask": torch.zeros(1, HEIGHT, WIDTH)}, "nothing is to be changed"),
    ],
)
def test_a_node_says_what_became_of_the_faces(
    pack: Pack, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], words: str
) -> None:
    assert said(pack, monkeypatch, **values) == words


def test_a_node_says_the_same_where_only_the_slider_moved(pack: Pack, monkeypatch: pytest.MonkeyPatch) -> None:
    model, image = stand_in_model(pack, gain=0.5), photograph()
    for visibility in (1.0, 0.5):
        assert said(pack, monkeypatch, gpen_model=model, image=image, visibility=visibility) == "1 face"


@pytest.mark.parametrize(("level", "words"), [(0.5, "1 face"), (0.0, "no face found")])
def test_colourising_says_how_many_faces_it_coloured(
    pack: Pack, monkeypatch: pytest.MonkeyPatch, level: float, words: str
) -> None:
    model, image = stand_in_model(pack, task="colorization"), photograph() * level
    assert said(pack, monkeypatch, "GPEN_ColouriseFace", gpen_model=model, image=image) == words


def test_faces_that_stay_as_found_are_named(pack: Pack) -> None:
    tally = pack.module("nodes.tally").Tally(found=4)

    class Face(pack.module("gpen_core.treatment").Treated):  # type: ignore[misc]
        def __init__(self, strength: float, kept: float | None) -> None:
            self.strength, self.kept = strength, kept

    tally.count([Face(1.0, None), Face(1.0, 0.5), Face(1.0, 1.0), Face(0.0, None)])
    assert tally.words() == (
        "3 faces, 1 left as found, larger than the model and sound (keep_detail off in Restore Faces: restored), "
        "1 not to be restored, by the options"
    )


@pytest.mark.parametrize(
    ("name", "chosen", "advice"),
    [
        ("GPEN-BFR-512", None, "choose gpen-open, which ships, or put GPEN-BFR-512"),
        ("GPEN-Colorization-1024", None, "put GPEN-Colorization-1024"),
        ("GPEN-Inpainting-1024", None, "put GPEN-Inpainting-1024"),
        ("retinaface-resnet50", None, "choose auto, or put detection_Resnet50"),
        ("parsenet", "parsenet", "choose auto, or put parsing_parsenet"),
        ("parsenet", "auto", "put parsing_parsenet"),
    ],
)
def test_what_cannot_be_fetched_is_replaced_by_nothing_that_does_something_else(
    pack: Pack, monkeypatch: pytest.MonkeyPatch, name: str, chosen: str | None, advice: str
) -> None:
    files, errors = pack.module("nodes.files"), pack.module("gpen_core.errors")

    def fetch(entry: Any) -> None:
        raise errors.HubError("no network")

    monkeypatch.setattr(files, "fetch", fetch)
    kind = "facerestore_models" if name.startswith("GPEN") else "facedetection"
    with pytest.raises(errors.HubError) as caught:
        files.locate(name, kind, option="model", chosen=chosen)
    assert str(caught.value).startswith(advice)


def test_a_parser_that_a_node_needs_and_cannot_have_is_not_advised_to_be_auto(
    pack: Pack, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, errors = pack.module("nodes.files"), pack.module("gpen_core.errors")

    def fetch(entry: Any) -> None:
        raise errors.HubError("no network")

    monkeypatch.setattr(files, "fetch", fetch)
    with pytest.raises(errors.WeightsError, match=r"^put parsing_parsenet.*ellipse and box need none$"):
        stand_in_model(pack).parser(needed=True)


@pytest.mark.parametrize(("node", "task"), [("GPEN_ColouriseFace", "colorization"), ("GPEN_InpaintFace", "inpainting")])
def test_a_photograph_given_as_an_aligned_face_is_refused_in_the_nodes_own_words(
    pack: Pack, node: str, task: str
) -> None:
    with pytest.raises(pack.module("gpen_core.errors").InputError, match="choose photograph as picture_kind"):
        pack.run(node, gpen_model=stand_in_model(pack, task=task), image=photograph(), picture_kind="aligned face")
