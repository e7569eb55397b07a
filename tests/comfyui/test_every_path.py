"""Each option about which faces are meant, on every path that a face can walk: honoured, or refused by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from face_stand_ins import Unchanged, face_at, stand_in_model
from nodes_under_test import Pack
from PIL import Image
from torch import Tensor, nn

ASTRONAUT = Path(__file__).parents[1] / "golden" / "astronaut.jpg"
HEIGHT, WIDTH = 200, 300
#: Left, top, side and score of the faces of the picture, as the detector gives them.
CROWD = {"a": (10, 10, 80, 0.95), "b": (120, 20, 40, 0.99), "c": (200, 100, 60, 0.92), "d": (100, 120, 50, 0.5)}
#: A face that only shows when the picture is turned by a quarter, in pixels of the turned picture.
LYING = (20, 200, 40, 0.97)

OPTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "abc"),
    "threshold": ({"threshold": 0.3}, "abcd"),
    "min_size": ({"min_size": 50.0}, "ac"),
    "max_size": ({"max_size": 70.0}, "bc"),
    "order": ({"order": "size"}, "acb"),
    "indices": ({"indices": (2, 0)}, "ca"),
    "largest": ({"largest": 1}, "a"),
    "longest_side": ({"longest_side": 96}, "abc"),
    "rotations": ({"rotations": True}, "beac"),
}


class Crowd(nn.Module):
    """A detector that sees the crowd in the picture as it stands and one more face where it is turned by a quarter,
    whatever the picture's size; notes how large it came."""

    longest_side = 240

    def __init__(self, pack: Pack) -> None:
        super().__init__()
        self.anchor = nn.Parameter(torch.zeros(1))
        self.pack = pack
        self.sides: list[int] = []

    def forward(self, pictures: Tensor) -> list[list[Any]]:
        height, width = pictures.shape[-2:]
        self.sides.append(max(height, width))
        if len(self.sides) == 1:
            faces = [face_at(self.pack, *place) for place in CROWD.values()]
            return [[face.scaled(width / WIDTH, height / HEIGHT) for face in faces]]
        lying = face_at(self.pack, *LYING).scaled(width / HEIGHT, height / WIDTH)
        return [[lying] if len(self.sides) == 2 else []]


class Wrapped:
    """A part inside another: progress, cancel or a cache, which know nothing of it."""

    def __init__(self, part: Any) -> None:
        self._part = part

    def __getattr__(self, name: str) -> Any:
        return getattr(self._part, name)

    def __call__(self, inputs: Tensor) -> Any:
        return self._part(inputs)


Walk = Callable[[Pack, Any, Tensor, dict[str, Any]], list[Any]]


def restorer_of(pack: Pack, detector: Any, task: str = "restoration") -> Any:
    return pack.module("gpen_core.restore").FaceRestorer(Wrapped(Unchanged(pack, task)), detector)


def options_of(pack: Pack, selection: dict[str, Any]) -> Any:
    kinds = pack.module("gpen_core.options")
    return kinds.RestoreOptions(selection=kinds.Selection(**selection))


def photograph(pack: Pack, detector: Any, picture: Tensor, selection: dict[str, Any]) -> list[Any]:
    result = restorer_of(pack, detector).restore(picture.numpy(), options_of(pack, selection))
    return [face.box for face in result.faces]


def folder(pack: Pack, detector: Any, picture: Tensor, selection: dict[str, Any]) -> list[Any]:
    restoring = pack.module("gpen_core.batch.processes").restoring
    given = pack.module("gpen_core.images").as_picture(picture.numpy())
    (result,) = restoring(restorer_of(pack, detector), options_of(pack, selection))([given])
    return [face.box for face in result.faces]


def enlarged(pack: Pack, detector: Any, picture: Tensor, selection: dict[str, Any]) -> list[Any]:
    restoring = pack.module("gpen_core.batch.processes").restoring
    given = pack.module("gpen_core.images").as_picture(picture.numpy())
    (result,) = restoring(restorer_of(pack, detector), options_of(pack, selection), scale=2)([given])
    return [face.detection.scaled(0.5, 0.5).box for face in result.faces]


def task(pack: Pack, detector: Any, picture: Tensor, selection: dict[str, Any]) -> list[Any]:
    tasks, model = pack.module("gpen_core.tasks"), Unchanged(pack, "colorization")
    result = tasks.colorize(picture.numpy(), model, detector=detector, options=options_of(pack, selection))
    return [face.box for face in result.faces]


def film(pack: Pack, detector: Any, picture: Tensor, selection: dict[str, Any]) -> list[Any]:
    restore_frames = pack.module("gpen_core.video").restore_frames
    (result,) = restore_frames([picture.numpy()], restorer_of(pack, detector), options_of(pack, selection))
    return [face.box for face in result.faces]


def node(pack: Pack, detector: Any, picture: Tensor, selection: dict[str, Any]) -> list[Any]:
    model = stand_in_model(pack, faces=[])
    model._parts["detector"] = (detector, pack.module("nodes.adapter").patch(detector))
    names = {"threshold": "detection_threshold", "min_size": "min_face_size"}
    inputs: dict[str, Any] = {names.get(name, name): value for name, value in selection.items()}
    if inputs.pop("order", None):
        inputs |= {"face_selection": "filter", "sort_by": "area", "take_count": 0}
    if inputs.pop("largest", None):
        inputs |= {"face_selection": "largest"}
    result = pack.run("GPEN_RestoreFaces", gpen_model=model, image=picture[None], **inputs)
    boxes = result[4][0]
    return [torch.tensor([b["x"], b["y"], b["x"] + b["width"], b["y"] + b["height"]]) for b in boxes]


def wrapped(pack: Pack, detector: Any, picture: Tensor, selection: dict[str, Any]) -> list[Any]:
    return photograph(pack, Wrapped(Wrapped(detector)), picture, selection)


#: What the node leaves to other inputs.
NO_INPUTS = ("max_size", "indices", "longest_side", "rotations")


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("path", [photograph, wrapped, folder, enlarged, task, film, node], ids=lambda p: p.__name__)
def test_an_option_chooses_the_same_faces_on_every_path(pack: Pack, path: Walk, option: str) -> None:
    selection, expected = OPTIONS[option]
    detector = Crowd(pack)
    picture = torch.rand(HEIGHT, WIDTH, 3, generator=torch.Generator().manual_seed(0))
    if path is node and option in NO_INPUTS:
        with pytest.raises(pack.module("gpen_core.errors").ConfigError, match=option):
            path(pack, detector, picture, selection)
        return
    boxes = path(pack, detector, picture, selection)
    left, top, side, _ = LYING
    # A point x, y of the picture turned to the left lies at width - 1 - y, x of the picture.
    places = {**CROWD, "e": (WIDTH - 1 - top - side, left, side, 0.97)}
    if path is node:
        # Nodes number faces by sort_by, the area unless told otherwise, so that Preview Faces and take_start agree.
        expected = sorted(expected, key=lambda name: -places[name][2])
    for box, name in zip(boxes, expected, strict=True):
        left, top, side, _ = places[name]
        assert box.tolist() == pytest.approx([left, top, left + side, top + side], abs=1.0)
    assert set(detector.sides) == {selection.get("longest_side", Crowd.longest_side)}


def test_there_is_a_case_for_every_option_of_selection(pack: Pack) -> None:
    named = pack.module("gpen_core.fields").described(pack.module("gpen_core.options").Selection)
    assert set(OPTIONS) - {"nothing"} == set(named)


def test_a_low_threshold_finds_a_turned_face_in_the_nodes_as_from_python(pack: Pack) -> None:
    turned = Image.open(ASTRONAUT).rotate(120, resample=Image.Resampling.BICUBIC, expand=True)
    picture = torch.from_numpy(np.asarray(turned).astype(np.float32) / 255)
    detector = pack.module("gpen_core.weights").load_detector(device="cpu")
    least = pack.module("gpen_core.options").Selection(threshold=0.1)
    expected = restorer_of(pack, detector).detect(picture.numpy(), least)
    model = stand_in_model(pack, faces=[])
    model._parts["detector"] = (detector, pack.module("nodes.adapter").patch(detector))
    found = pack.run("GPEN_DetectFaces", gpen_model=model, image=picture[None], detection_threshold=0.1)[0].frames[0]
    assert sorted(face.box.tolist() for face in found) == sorted(face.box.tolist() for face in expected)
    # Upside down by a third of a turn: its box is where the head is, but the detector is far from sure.
    assert any(0.1 <= face.score < 0.9 and face.box[0] < 265 < face.box[2] for face in found)
    assert pack.run("GPEN_DetectFaces", gpen_model=model, image=picture[None], detection_threshold=0.9)[2] == 0


def aligned_photograph(pack: Pack, picture: Any, options: Any) -> None:
    restorer_of(pack, None).restore(picture, options, aligned=True)


def aligned_folder(pack: Pack, picture: Any, options: Any) -> None:
    pack.module("gpen_core.batch.processes").restoring(restorer_of(pack, None), options, aligned=True)


def aligned_task(pack: Pack, picture: Any, options: Any) -> None:
    model = Unchanged(pack, "colorization")
    pack.module("gpen_core.tasks").colorize(picture, model, options=options, aligned=True)


@pytest.mark.parametrize("option", [name for name in OPTIONS if name != "nothing"])
@pytest.mark.parametrize("path", [aligned_photograph, aligned_folder, aligned_task], ids=lambda p: p.__name__)
def test_an_aligned_face_refuses_by_name_what_chooses_among_faces(pack: Pack, path: Any, option: str) -> None:
    options = options_of(pack, OPTIONS[option][0])
    with pytest.raises(pack.module("gpen_core.errors").ConfigError, match=option):
        path(pack, torch.rand(40, 40, 3).numpy(), options)
