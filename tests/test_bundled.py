"""What ships in the package: the open detector, the open model and the example pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from gpen_core.images import read_picture
from gpen_core.weights import load_detector
from gpen_core.weights.entry import BUNDLED

EXAMPLES = BUNDLED.parent.parent / "examples"
DETECTOR = BUNDLED / "gpen-open-detector.safetensors"
PICTURES = sorted(EXAMPLES.glob("*.jpg"))


def _image(path: Path) -> torch.Tensor:
    return torch.from_numpy(read_picture(path).pixels).permute(2, 0, 1)[None].float() / 255


def test_there_are_examples_and_they_are_small() -> None:
    assert len(PICTURES) >= 2
    assert sum(path.stat().st_size for path in PICTURES) < 200_000


@pytest.mark.parametrize("path", PICTURES, ids=lambda p: p.stem)
def test_the_open_detector_finds_the_one_face_of_an_example(path: Path) -> None:
    found = load_detector(DETECTOR, device="cpu")(_image(path))[0]
    original = load_detector(DETECTOR, device="cpu")(_image(Path(__file__).parent / "golden" / "astronaut.jpg"))[0]
    assert len(found) == len(original) == 1
    eyes = (original[0].landmarks[1] - original[0].landmarks[0]).norm()
    assert (found[0].landmarks - original[0].landmarks).norm(dim=1).mean() < 0.15 * eyes


def test_the_open_detector_finds_nothing_where_there_is_no_face() -> None:
    detector = load_detector(DETECTOR, device="cpu")
    noise = torch.rand(1, 3, 200, 240, generator=torch.Generator().manual_seed(0))
    assert detector(noise)[0] == []
    assert detector(torch.full((1, 3, 160, 160), 0.6))[0] == []


def test_the_open_detector_is_small_and_its_card_complete() -> None:
    assert DETECTOR.stat().st_size < 2_000_000
    with safe_open(DETECTOR, framework="pt") as file:
        card = json.loads(file.metadata()["gpen.detector"])
    assert card["licence"] == "Apache-2.0"
    assert all(card[part] for part in ("summary", "training", "figures", "data", "limits"))
    readable = DETECTOR.with_suffix(".md").read_text(encoding="utf-8")
    for name in ("Etalab", "Digital Transformation Agency", "DeBruine & Jones", "SFHQ-T2I", "cunjian"):
        assert name in readable
