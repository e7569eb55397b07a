"""The open detector's training: anchors, scenes with known faces, and what is counted as a face."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from training_scripts import script

from gpen_core.faces.anchors import decode_boxes, decode_landmarks


def _module(name: str) -> ModuleType:
    return script(f"detector/{name}.py")


anchors, loss = _module("anchors"), _module("loss")


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> object:
    """Two drawn faces whose eyes are dark and whose landmarks are known."""
    cv2 = pytest.importorskip("cv2")
    scenes = _module("scenes")
    folder = tmp_path_factory.mktemp("faces")
    points = np.array([(96, 120), (160, 120), (128, 157), (100, 186), (156, 186)], np.float32)
    for index, name in enumerate(("a.png", "b.png")):
        face = np.full((256, 256, 3), 120 + 60 * index, np.uint8)
        for x, y in points[:2]:
            cv2.circle(face, (int(x), int(y)), 6, (0, 0, 0), -1)
        cv2.imwrite(str(folder / name), face)
    boxes = np.array([(80, 70, 176, 205)] * 2, np.float32)
    np.savez(folder / "labels.npz", names=np.array(["a.png", "b.png"]), boxes=boxes, landmarks=np.stack([points] * 2))
    return scenes.Faces(folder, folder / "labels.npz")


def test_decoding_undoes_encoding() -> None:
    source = torch.Generator().manual_seed(0)
    grid = anchors.make_anchors(64, 96)
    low = torch.rand(len(grid), 2, generator=source) * 50
    boxes = torch.cat([low, low + 5 + torch.rand(len(grid), 2, generator=source) * 60], 1)
    points = torch.rand(len(grid), 5, 2, generator=source) * 90
    offsets, landmark_offsets = anchors.encode(boxes, points, grid)
    assert torch.allclose(decode_boxes(offsets, grid), boxes, atol=1e-3)
    assert torch.allclose(decode_landmarks(landmark_offsets, grid), points, atol=1e-3)


def test_overlap_of_a_box_with_its_own_anchor_is_one() -> None:
    grid = anchors.make_anchors(64, 64)
    x, y, side = grid[7].tolist()
    box = torch.tensor([[x - side / 2, y - side / 2, x + side / 2, y + side / 2]])
    assert anchors.overlaps(box, grid)[0, 7] == pytest.approx(1)
    assert anchors.overlaps(box + 1000, grid).max() == 0


def test_every_wanted_face_has_an_anchor_and_an_unwanted_one_is_no_background() -> None:
    grid = anchors.make_anchors(128, 128)
    boxes = torch.tensor([[3.0, 3.0, 14.0, 15.0], [60.0, 60.0, 100.0, 110.0]])
    points = torch.zeros(2, 5, 2)
    both = loss.match([(boxes, points, torch.tensor([True, True]))], grid, loss.DetectionLoss()).label[0]
    first_gone = loss.match([(boxes, points, torch.tensor([False, True]))], grid, loss.DetectionLoss()).label[0]
    near_first = anchors.overlaps(boxes[:1], grid)[0].argmax()
    assert both[near_first] == loss.FACE
    assert first_gone[near_first] == loss.IGNORED
    assert (first_gone == loss.FACE).any()


def test_a_perfect_output_costs_nothing_and_a_missed_face_costs() -> None:
    grid = anchors.make_anchors(64, 64)
    truth = (torch.tensor([[10.0, 12.0, 40.0, 50.0]]), torch.rand(1, 5, 2) * 40, torch.tensor([True]))
    options = loss.DetectionLoss()
    targets = loss.match([truth], grid, options)
    logits = torch.zeros(1, len(grid), 2)
    logits[..., 1] = torch.where(targets.label == loss.FACE, 30.0, -30.0)
    right = loss.detection_loss((targets.box, logits, targets.landmark), targets, options)
    wrong = loss.detection_loss((targets.box, -logits, targets.landmark), targets, options)
    assert sum(right.values()) < 1e-6
    assert wrong["class"] > 10


def test_a_scene_without_faces_still_teaches_what_background_is() -> None:
    grid = anchors.make_anchors(64, 64)
    nothing = (torch.zeros(0, 4), torch.zeros(0, 5, 2), torch.zeros(0, dtype=torch.bool))
    options = loss.DetectionLoss()
    output = tuple(torch.zeros(1, len(grid), n, requires_grad=True) for n in (4, 2, 10))
    terms = loss.detection_loss(output, loss.match([nothing], grid, options), options)
    assert terms["class"] > 0
    assert terms["box"] == 0


def test_a_scene_repeats_from_its_seed_and_its_landmarks_lie_in_their_boxes(faces: object) -> None:
    compose = _module("scenes").compose
    found = 0
    for seed in range(12):
        first, second = (compose(np.random.default_rng(seed), 96, 128, faces) for _ in range(2))
        assert first.picture.shape == (96, 128, 3)
        assert np.array_equal(first.picture, second.picture)
        assert np.array_equal(first.boxes, second.boxes)
        for box, points in zip(first.boxes[first.wanted], first.landmarks[first.wanted], strict=True):
            found += 1
            assert (points.mean(0) > box[:2]).all()
            assert (points.mean(0) < box[2:]).all()
    assert found > 12


def test_a_pasted_face_has_its_eyes_where_the_labels_say(faces: object) -> None:
    scenes = _module("scenes")
    levels, box, points = faces.pick(np.random.default_rng(3))  # type: ignore[attr-defined]
    for scale in (1.3, 0.7, 0.3):
        canvas = np.full((400, 400, 3), 255, np.uint8)
        matrix = np.array([[scale, 0, 20.0], [0, scale, 30.0]])
        scenes._paste(canvas, levels, np.ones((256, 256), np.float32), matrix)
        for x, y in points[:2] * scale + (20, 30):
            window = canvas[int(y) - 8 : int(y) + 9, int(x) - 8 : int(x) + 9].astype(float).mean(-1)
            dark = window.max() - window
            rows, columns = np.mgrid[: window.shape[0], : window.shape[1]]
            assert (dark * columns).sum() / dark.sum() + int(x) - 8 == pytest.approx(x, abs=0.5)
            assert (dark * rows).sum() / dark.sum() + int(y) - 8 == pytest.approx(y, abs=0.5)
    assert box[2] > box[0]


def test_backgrounds_have_the_size_asked_for() -> None:
    pytest.importorskip("cv2")
    backgrounds = _module("backgrounds")
    for seed in range(20):
        assert backgrounds.background(np.random.default_rng(seed), 70, 90).shape == (70, 90, 3)


def test_moving_the_scores_makes_one_threshold_another_and_keeps_their_order() -> None:
    state = {"ClassHead.0.conv1x1.bias": torch.tensor([0.5, -0.5, 0.1, 0.2]), "other": torch.ones(2)}
    moved = _module("export").move_scores(state, 0.7)
    before, after = (s["ClassHead.0.conv1x1.bias"].view(2, 2).diff(dim=1)[:, 0] for s in (state, moved))
    at_threshold = torch.logit(torch.tensor(0.7))
    assert torch.allclose(torch.sigmoid(after - before + at_threshold), torch.tensor(0.9))
    assert torch.equal(moved["other"], state["other"])


def test_a_second_look_ships_with_its_score_at_the_usual_threshold_where_it_was_asked_for() -> None:
    export = _module("export")
    state = {"judge.bias": torch.tensor([0.25]), "judge.weight": torch.zeros(1, 4), "count": torch.tensor(7)}
    shipped = export.second_look(state, believed=0.5)
    assert set(shipped) == {"second_look.judge.bias", "second_look.judge.weight", "second_look.count"}
    logit = shipped["second_look.judge.bias"].float() - 0.25 + 0.5
    assert torch.sigmoid(logit).item() == pytest.approx(0.9, abs=1e-3)


def test_what_the_second_look_learns_from_is_half_faces_and_stays_a_picture(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    look = _module("second_look")
    points = np.array([(96, 120), (160, 120), (128, 157), (100, 186), (156, 186)], np.float32)
    cv2.imwrite(str(tmp_path / "a.png"), np.full((256, 256, 3), 130, np.uint8))
    np.savez(tmp_path / "labels.npz", names=np.array(["a.png"]), landmarks=points[None])
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (6, 3, 96, 96), dtype=np.uint8)
    np.savez(tmp_path / "c.npz", crops=crops, label=np.array([1, 0] * 3), score=np.linspace(0.1, 1, 6))
    before, trained = look.make_network(_saved(look.SecondLook().state_dict(), tmp_path / "before.pt"))
    assert trained
    examples = look.Examples([tmp_path / "c.npz"] * 2, tmp_path, tmp_path / "labels.npz", before)
    assert len(examples.faces) == len(examples.others) == 6
    batch, wanted = look.make_batch(rng, examples, 200)
    assert batch.shape == (200, 3, 64, 64)
    assert 0 <= batch.min() < batch.max() <= 1
    assert 0.35 < wanted.mean() < 0.6


def _saved(state: dict[str, torch.Tensor], path: Path) -> Path:
    torch.save(state, path)
    return path


def test_what_an_earlier_second_look_took_for_a_face_is_drawn_more_often(tmp_path: Path) -> None:
    look = _module("second_look")

    class Believes(torch.nn.Module):
        def forward(self, crops: torch.Tensor) -> torch.Tensor:
            return 20 * (crops.mean((1, 2, 3)) - 0.5)

    crops = np.stack([np.full((3, 96, 96), level, np.uint8) for level in (0, 255)])
    np.savez(tmp_path / "c.npz", crops=crops, label=np.zeros(2, int), score=np.full(2, 0.2))
    np.savez(tmp_path / "labels.npz", names=np.array([], str), landmarks=np.zeros((0, 5, 2)))
    examples = look.Examples([tmp_path / "c.npz"], tmp_path, tmp_path / "labels.npz", Believes())
    drawn = [examples.other(rng).mean() > 0 for rng in [np.random.default_rng(0)] for _ in range(400)]
    assert 0.9 < np.mean(drawn) < 1


def test_a_small_network_is_saved_as_the_mean_of_its_steps_which_has_learnt() -> None:
    fitting = script("fitting.py")
    torch.manual_seed(0)
    network, saved = torch.nn.Linear(2, 1), []
    inputs = torch.randn(64, 2)
    wanted = inputs @ torch.tensor([[1.0], [-2.0]])

    def cost() -> torch.Tensor:
        return (network(inputs) - wanted).square().mean()

    first = cost().item()
    fitting.fit(network, cost, lambda mean, steps: saved.append((mean, steps)), minutes=0.01, rate=0.05, memory=0.9)
    ((mean, steps),) = saved
    assert steps > 20
    assert (mean(inputs) - wanted).square().mean().item() < first / 10


def test_shuffled_tiles_are_the_same_pixels_in_other_places() -> None:
    pytest.importorskip("cv2")
    looks = _module("looks")
    crop = np.arange(64 * 64 * 3, dtype=np.int64).reshape(64, 64, 3)
    mixed = looks.shuffled(np.random.default_rng(1), crop)
    assert (mixed != crop).any()
    assert sorted(mixed.ravel().tolist()) == crop.ravel().tolist()
    assert (np.diff(mixed[:16, :16, 0], axis=1) == 3).all()
