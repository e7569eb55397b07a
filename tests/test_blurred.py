"""Blurred faces, read again where they are small."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from test_bundled import GOLDEN, _aligned
from torch import Tensor

from gpen_core.data.degradation import Degradation
from gpen_core.data.ranges import Pass, Ranges
from gpen_core.faces import detect
from gpen_core.faces.blurred import is_blurred, read_smaller
from gpen_core.faces.duplicates import overlaps
from gpen_core.weights import load_detector
from gpen_core.weights.entry import BUNDLED

BOX = torch.tensor([60.0, 40.0, 180.0, 190.0])
MARKS = torch.tensor([[90.0, 90.0], [150.0, 92.0], [120.0, 120.0]])


def patches(size: int, cells: int) -> Tensor:
    """(3, size, size) in [0, 1]: cells × cells patches."""
    coarse = torch.rand(1, 3, cells, cells, generator=torch.Generator().manual_seed(4))
    return F.interpolate(coarse, (size, size), mode="bilinear", align_corners=False)[0]


def test_a_face_with_nothing_finer_than_half_its_size_could_hold_is_blurred() -> None:
    assert is_blurred(patches(240, 8), BOX)
    assert not is_blurred(patches(240, 160), BOX)


def test_a_small_face_is_not() -> None:
    assert not is_blurred(patches(240, 8), torch.tensor([60.0, 40.0, 110.0, 120.0]))


class Spots:
    """A detector's look that finds the middles of one spot in each channel, the eyes and what stands for the rest.
    score: how sure it is; shown: the sides of the crops that it saw.
    """

    def __init__(self, score: float) -> None:
        self.score, self.shown = score, []

    def __call__(self, crops: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        size = crops.shape[-1]
        self.shown.append(size)
        along, found = torch.arange(size, dtype=torch.float32), []
        for crop in crops:
            across, down = ((crop.sum(dim) @ along) / crop.sum((1, 2)) for dim in (1, 2))
            first, second, nose = torch.stack([across, down], 1).unbind()
            eyes = sorted((first, second), key=lambda point: float(point[0]))
            half = torch.tensor([60.0, 75.0]) * size / 300
            box = torch.cat([(size - 1) / 2 - half, (size - 1) / 2 + half])
            found.append((box[None], torch.stack([*eyes, nose, nose, nose])[None], torch.tensor([self.score])))
        return found


def spotted() -> Tensor:
    """(3, 240, 240): both eyes and a nose."""
    down, across = torch.meshgrid(torch.arange(240.0), torch.arange(240.0), indexing="ij")
    return torch.stack([torch.exp(-((across - x) ** 2 + (down - y) ** 2) / 30) for x, y in MARKS.tolist()])


def test_what_is_read_in_crops_and_their_mirrors_comes_back_in_the_picture_s_pixels() -> None:
    look, before = Spots(0.9), torch.cat([MARKS, MARKS[2:], MARKS[2:]]) + 8
    box, marks, score = read_smaller(look, spotted(), BOX, before, 0.0)
    torch.testing.assert_close(box, BOX, atol=0.5, rtol=0)
    torch.testing.assert_close(marks, before - 8, atol=0.5, rtol=0)
    assert score == pytest.approx(0.9)
    assert look.shown == [80, 96, 128]


def test_what_was_read_before_counts_by_how_sure_it_was() -> None:
    before = torch.cat([MARKS, MARKS[2:], MARKS[2:]]) + 8
    _, marks, score = read_smaller(Spots(0.3), spotted(), BOX, before, 0.3 * 6**0.5)
    torch.testing.assert_close(marks, before - 4, atol=0.5, rtol=0)
    assert score == pytest.approx(0.3 * 6**0.5)


def test_a_face_that_is_seen_nowhere_again_stays_as_it_was() -> None:
    before = torch.cat([MARKS, MARKS[2:], MARKS[2:]])
    nothing = torch.zeros(0, 4), torch.zeros(0, 5, 2), torch.zeros(0)
    elsewhere = torch.tensor([[0.0, 0.0, 20.0, 20.0]]), torch.zeros(1, 5, 2), torch.tensor([0.9])
    _, marks, score = read_smaller(lambda crops: [nothing, elsewhere], spotted(), BOX, before, 0.4)
    torch.testing.assert_close(marks, before)
    assert score == pytest.approx(0.4)


def test_boxes_overlap_by_their_intersection_over_their_union() -> None:
    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 3.0, 2.0], [5.0, 5.0, 6.0, 6.0]])
    torch.testing.assert_close(overlaps(boxes, boxes[:1])[:, 0], torch.tensor([1.0, 1 / 3, 0.0]))


def damaged(count: int) -> Tensor:
    """(count, 3, 256, 256): a face, severely damaged in as many ways."""
    severe = Pass(blur=(3, 4), shrink=(6, 7), filters=("area",), noise=(6, 12), quality=(40, 60))
    faces = _aligned(GOLDEN).expand(count, -1, -1, -1)
    return Degradation(Ranges(flip=0.0, chains=((severe,),))).degrade(faces, 1, range(count))


def test_landmarks_of_a_badly_damaged_face_lie_nearer_to_those_of_the_sound_one(monkeypatch) -> None:
    detector, faces = load_detector(device="cpu"), damaged(6)
    truth = detector(_aligned(GOLDEN))[0][0].landmarks

    def errors() -> list[float]:
        return [float((detector(face[None])[0][0].landmarks - truth).norm(dim=1).mean()) for face in faces]

    now = errors()
    monkeypatch.setattr(detect, "is_blurred", lambda image, box: False)
    before = errors()
    assert sum(now) < 0.9 * sum(before)


def test_half_a_face_at_the_picture_s_edge_is_not_made_a_whole_one() -> None:
    detector, faces = load_detector(device="cpu"), damaged(4)
    for part in (faces[..., 150:, :], faces[..., :106], faces[..., 150:]):
        assert all(face.score < 0.9 for found in detector(part) for face in found)


def test_a_box_beside_a_blurred_face_does_not_become_a_second_face() -> None:
    with Image.open(BUNDLED.parent.parent / "examples" / "sent-around.jpg") as example:
        for number, side in ((1, 728), (4, 752)):
            picture = example.resize((side, side)).point(lambda level, n=number: level * (20 - n) / 20)
            pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
            assert len([face for face in load_detector(device="cpu")(pixels)[0] if face.score >= 0.5]) == 1
