"""Faces followed from frame to frame."""

import numpy as np
import torch
from small_films import HEIGHT, SIDE, WIDTH, frames_of, scene
from task_models import face_at

from gpen_core.faces.types import Detection
from gpen_core.video.tracks import Tracker


def follow(places, frames=None, gap=3):
    tracker, found = Tracker(gap), []
    for index, here in enumerate(places):
        pixels = frames[index] if frames is not None else np.full((HEIGHT, WIDTH, 3), 60, dtype=np.uint8)
        found.append(tracker.follow(index, pixels, [face_at(x, y, 20) for x, y in here]))
    return found


def test_a_face_that_moves_is_one_track():
    found = follow([[(5 + 2 * t, 10 + t)] for t in range(20)])
    assert all(list(faces) == [0] for faces, _ in found)


def test_faces_that_pass_each_other_keep_their_numbers():
    found = follow([[(5 + 3 * t, 10), (65 - 3 * t, 40)] for t in range(20)])
    for t, (faces, _) in enumerate(found):
        assert float(faces[0].box[0]) == 5 + 3 * t
        assert float(faces[1].box[0]) == 65 - 3 * t


def test_the_order_of_the_detections_does_not_matter():
    places = [[(10, 10), (60, 30)] if t % 2 else [(60, 30), (10, 10)] for t in range(8)]
    found = follow(places)
    first = {number: face.box.tolist() for number, face in found[0][0].items()}
    for faces, _ in found:
        assert {number: face.box.tolist() for number, face in faces.items()} == first


def test_a_short_gap_is_bridged_and_a_long_one_is_not():
    def places(missing):
        return [[(10, 10)]] * 4 + [[]] * missing + [[(10, 10)]] * 4

    assert list(follow(places(3))[-1][0]) == [0]
    assert list(follow(places(4))[-1][0]) == [1]


def test_a_face_goes_on_less_sure_than_it_must_be_to_begin():
    frame, tracker, scores = np.full((HEIGHT, WIDTH, 3), 60, dtype=np.uint8), Tracker(3), [0.7, 0.95, 0.7, 0.7, 0.95]
    found = [list(tracker.follow(t, frame, [face_at(10, 10, 20, score)], 0.9)[0]) for t, score in enumerate(scores)]
    assert found == [[], [0], [0], [0], [0]]


def test_a_cut_ends_every_track():
    frames = [(scene(20, 20) * 255).astype(np.uint8)] * 5 + [(scene(20, 20, background=0.7) * 255).astype(np.uint8)] * 5
    found = follow([[(20, 20)]] * 10, frames)
    assert [cut for _, cut in found] == [False] * 5 + [True] + [False] * 4
    assert [list(faces) for faces, _ in found] == [[0]] * 5 + [[1]] * 5


def test_another_face_in_the_same_place_is_another_track():
    one = (scene(20, 20) * 255).astype(np.uint8)
    other = one.copy()
    other[20 : 20 + SIDE, 20 : 20 + SIDE] = 255 - one[20 : 20 + SIDE, 20 : 20 + SIDE]
    found = follow([[(26, 26)]] * 10, [one] * 5 + [other] * 5)
    assert [list(faces) for faces, _ in found] == [[0]] * 5 + [[1]] * 5


def test_noise_and_motion_are_no_cut():
    places = [(10 + 3 * t, 20) for t in range(15)]
    found = follow([[place] for place in places], frames_of(places, noise=12))
    assert not any(cut for _, cut in found)
    assert all(list(faces) == [0] for faces, _ in found)


def swept(steps):
    """Frames (180, 320) of a camera that is swept over a wall of many tones, and the place of a face on it in each."""
    tones = np.random.default_rng(3).integers(20, 235, (12, 40), dtype=np.uint8)
    wall = np.kron(tones, np.ones((15, 20), dtype=np.uint8))[..., None].repeat(3, 2)
    return [wall[:, x : x + 320] for x in steps], [[(260 - x, 80)] for x in steps]


def test_a_face_whose_box_is_found_here_and_there_is_one_track():
    # Its landmarks are where they were: boxes of small faces are off by a tenth of the face.
    frame, face, tracker = swept([0])[0][0], face_at(140, 80, 40), Tracker()
    for index, error in enumerate((0, 0, 0, 6, 0, 0)):
        found = Detection(box=face.box + error, landmarks=face.landmarks, score=face.score)
        assert list(tracker.follow(index, frame, [found])[0]) == [0]


def test_a_swept_camera_is_no_cut_and_its_faces_are_followed():
    frames, places = swept([16 * t for t in range(15)])
    found = follow(places, frames)
    assert not any(cut for _, cut in found)
    assert all(list(faces) == [0] for faces, _ in found)


def test_a_camera_that_begins_to_sweep_keeps_its_faces():
    frames, places = swept([0] * 6 + [30 * t for t in range(8)])
    assert all(list(faces) == [0] for faces, _ in follow(places, frames))


def test_a_cut_in_the_middle_of_a_sweep_is_one():
    frames, places = swept([16 * t for t in range(15)])
    other = [255 - frame[::-1] for frame in frames]
    found = follow(places, frames[:8] + other[8:])
    assert [t for t, (_, cut) in enumerate(found) if cut] == [8]


def test_the_state_goes_on_where_it_was():
    places = [(10 + 2 * t, 20) for t in range(12)]
    frames = frames_of(places)
    whole = follow([[place] for place in places], frames)
    tracker = Tracker()
    for t in range(6):
        tracker.follow(t, frames[t], [face_at(*places[t], 20)])
    tensors, values = tracker.state()
    again = Tracker.from_state({k: v.clone() for k, v in tensors.items()}, values)
    for t in range(6, 12):
        faces, cut = again.follow(t, frames[t], [face_at(*places[t], 20)])
        assert list(faces) == list(whole[t][0])
        assert cut == whole[t][1]
        assert torch.equal(faces[0].landmarks, whole[t][0][0].landmarks)
