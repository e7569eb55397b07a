"""Frames that the detector looks at, and those where faces are told from the frames around."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from small_films import HEIGHT, SIDE, WIDTH, frames_of, scene
from task_models import face_at

from gpen_core.images import as_picture
from gpen_core.options import Selection
from gpen_core.video.looking import find_in_block, looked_at, looked_for

TIMES = [k / 25 for k in range(8)]


class Looks:
    """A detector of faces that are known by frame; it keeps which frames it has seen, call by call."""

    def __init__(self, places, frames):
        self.pictures = [as_picture(frame) for frame in frames]
        self.places, self.seen = places, []

    def __call__(self, pictures):
        numbers = [next(k for k, own in enumerate(self.pictures) if own is picture) for picture in pictures]
        self.seen.append(numbers)
        return [[face_at(x, y, SIDE, *score) for x, y, *score in self.places[k]] for k in numbers]

    def find(self, every, times=TIMES, least=0.0):
        return find_in_block(self, self.pictures, times, every, least)


def eight_bits(picture):
    return (picture * 255).astype(np.uint8)


def plain(places):
    """Frames that show nothing but one colour, whoever is said to be there."""
    return Looks(places, np.full((len(places), HEIGHT, WIDTH, 3), 60, dtype=np.uint8))


def corners(found):
    return [[tuple(face.box[:2].tolist()) for face in faces] for faces in found]


@pytest.mark.parametrize("every", range(1, 8))
def test_looks_are_spread_from_the_first_frame_to_the_last(every):
    for count in range(9):
        looks = looked_at(count, every)
        assert looks == sorted(set(looks))
        assert looks[:1] == [0][:count]
        assert looks[-1:] == [count - 1][:count]
        assert all(b - a <= every for a, b in pairwise(looks))


def test_a_face_that_moves_evenly_is_found_in_every_frame_by_half_of_the_looks():
    places = [[(10 + 2 * t, 12 + t)] for t in range(8)]
    looks = Looks(places, frames_of([place for (place,) in places], noise=3))
    assert corners(looks.find(3)) == places
    assert looks.seen == [[0, 2, 5, 7]]


def test_with_one_every_frame_is_looked_at_once_and_together():
    looks = plain([[(10, 10)]] * 8)
    looks.find(1)
    assert looks.seen == [list(range(8))]


def test_who_was_never_sure_may_come_and_go_without_more_looks():
    places = [[(10, 10), (60, 10, 0.7)] if k in (0, 5) else [(10, 10)] for k in range(8)]
    looks = plain(places)
    assert [len(faces) for faces in looks.find(3, least=0.9)] == [2, 1, 1, 1, 1, 2, 1, 1]
    assert looks.seen == [[0, 2, 5, 7]]


def test_a_face_that_is_less_sure_in_one_look_is_the_same_face():
    places = [[(10, 10, 0.7 if k == 5 else 0.95)] for k in range(8)]
    looks = plain(places)
    assert [faces[0].score for faces in looks.find(3, least=0.9)] == [0.95, 0.95, 0.95, 0.7, 0.7, 0.7, 0.7, 0.95]
    assert looks.seen == [[0, 2, 5, 7]]


def test_less_sure_faces_are_looked_for_only_where_faces_are_not_counted():
    assert looked_for(Selection(threshold=0.9)).threshold == pytest.approx(0.6)
    for counted in (Selection(largest=1), Selection(indices=(0,))):
        assert looked_for(counted) == counted


def test_faces_that_pass_each_other_are_not_exchanged():
    places = [[(20 + 2 * t, 4), (34 - 2 * t, 20)] for t in range(8)]
    looks = plain([here[:: -1 if t % 2 else 1] for t, here in enumerate(places)])
    assert [sorted(faces) for faces in corners(looks.find(3))] == [sorted(here) for here in places]
    assert len(looks.seen) == 1


def test_frames_between_looks_that_do_not_agree_are_looked_at():
    come = [[(10, 10)]] * 3 + [[(10, 10), (60, 20)]] * 5
    looks = plain(come)
    assert corners(looks.find(3)) == come
    assert looks.seen == [[0, 2, 5, 7], [3, 4]]


def test_a_face_that_moves_far_is_looked_at_in_between():
    places = [[(0, 10)]] * 3 + [[(20, 10)]] * 5
    looks = plain(places)
    assert corners(looks.find(3)) == places
    assert looks.seen == [[0, 2, 5, 7], [3, 4]]


def test_a_frame_of_another_scene_is_looked_at_though_its_neighbours_agree():
    frames = frames_of([(20, 20)] * 8)
    frames[3] = eight_bits(scene(60, 20, background=0.8))
    places = [[(20, 20)]] * 3 + [[(60, 20)]] + [[(20, 20)]] * 4
    looks = Looks(places, frames)
    assert corners(looks.find(3)) == places
    assert looks.seen == [[0, 2, 5, 7], [3]]


def test_a_face_that_something_passes_is_looked_at():
    frames = frames_of([(20, 20)] * 8)
    frames[4][20 : 20 + SIDE, 30 : 30 + SIDE // 2] = 255
    looks = Looks([[(20, 20)]] * 4 + [[]] + [[(20, 20)]] * 3, frames)
    assert [len(faces) for faces in looks.find(3)] == [1] * 4 + [0] + [1] * 3
    assert looks.seen == [[0, 2, 5, 7], [4]]


def test_places_follow_the_clock_where_frames_are_not_evenly_spaced():
    looks = plain([[(10, 10)], [], [(16, 10)]])
    found = looks.find(2, [0.0, 0.5, 0.6])
    assert float(found[1][0].box[0]) == pytest.approx(15)
    torch.testing.assert_close(found[1][0].landmarks, face_at(15, 10, SIDE).landmarks)
