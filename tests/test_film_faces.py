"""Which faces of a frame are restored, by the frames around it; and frames that have none."""

import numpy as np
import pytest
import torch
from small_films import KnownFaces, Sharpener, frames_of
from task_models import face_at

from gpen_core.film_options import Smoothing
from gpen_core.options import Blending, Masking, RestoreOptions
from gpen_core.restore import FaceRestorer
from gpen_core.video import restore_frames
from gpen_core.video.neighbours import Moment, placed


def moments(found, *, seconds=0.04, cuts=()):
    """Frames in which tracks lie at these places: {track: (left, top)} of each."""
    return [
        Moment(index=t, time=t * seconds, cut=t in cuts, found={n: face_at(*place, 40) for n, place in faces.items()})
        for t, faces in enumerate(found)
    ]


def tracks(near, at):
    return list(placed(near, at, Smoothing()))


def test_a_face_that_is_seen_in_one_frame_alone_does_not_flash():
    near = moments([{0: (10, 10)}] * 4 + [{0: (10, 10), 1: (200, 60)}] + [{0: (10, 10)}] * 4)
    assert [tracks(near, t) for t in range(9)] == [[0]] * 9


def test_a_face_of_two_frames_is_restored():
    near = moments([{}] * 4 + [{1: (200, 60)}] * 2 + [{}] * 4)
    assert [tracks(near, t) for t in range(10)] == [[]] * 4 + [[1]] * 2 + [[]] * 4


def test_scenes_of_one_frame_and_films_of_single_pictures_keep_their_faces():
    alone = [{t: (10 + 50 * t, 10)} for t in range(9)]
    assert all(tracks(moments(alone, cuts=range(9)), t) == [t] for t in range(9))
    assert all(tracks(moments(alone, seconds=1.0), t) == [t] for t in range(9))
    assert tracks(moments(alone[:1]), 0) == [0]


def test_a_face_that_is_taken_for_another_in_one_frame_is_restored_once():
    near = moments([{0: (10, 10)}] * 4 + [{7: (12, 10)}] + [{0: (10, 10)}] * 4)
    assert tracks(near, 4) == [0]
    twice = moments([{0: (10, 10)}] * 4 + [{7: (12, 10)}] * 2 + [{0: (10, 10)}] * 4)
    assert tracks(twice, 4) == tracks(twice, 5) == [0]


def test_a_face_that_is_hidden_by_another_is_not_filled_in_over_it():
    places = [{0: (10 + 20 * t, 10), 1: (170, 10)} for t in range(12)]
    places[8] = {1: (170, 10)}
    near = moments(places)
    assert tracks(near, 8) == [1]


def test_a_face_that_is_missed_is_filled_in_beside_another():
    near = moments([{0: (10, 10), 1: (200, 10)}] * 4 + [{1: (200, 10)}] + [{0: (10, 10), 1: (200, 10)}] * 4)
    assert tracks(near, 4) == [0, 1]


def halves(faces: torch.Tensor) -> torch.Tensor:
    """A parser that takes no empty batch: hair above, skin below."""
    assert len(faces)
    labels = torch.full((len(faces), *faces.shape[-2:]), 1)
    labels[:, : faces.shape[-1] // 2] = 13
    return labels


WITHOUT_A_FACE = {
    "colours of the surroundings": RestoreOptions(blending=Blending(colour_match="surroundings")),
    "colours of the crop": RestoreOptions(blending=Blending(colour_match="crop")),
    "grey": RestoreOptions(blending=Blending(keep_grey=True, only_damaged=True)),
    "regions": RestoreOptions(blending=Blending(region_strength={"eyes": 0.5})),
    "parsed": RestoreOptions(masking=Masking(kind="parser", occlusion=True)),
    "grain": RestoreOptions(blending=Blending(grain=1.0, blend="laplacian", overlap="hard", smooth_below=1000)),
    "as the reference": RestoreOptions.reference(),
}


@pytest.mark.parametrize("smoothing", [None, Smoothing()], ids=["plain", "smoothed"])
@pytest.mark.parametrize("options", WITHOUT_A_FACE.values(), ids=WITHOUT_A_FACE)
def test_frames_without_a_face_go_on_whatever_is_asked_of_faces(options, smoothing):
    places = [[] if k < 9 else [(20, 12)] for k in range(20)]
    frames = frames_of([(20, 12)] * len(places))
    people = FaceRestorer(Sharpener(), KnownFaces(places), halves)
    done = list(restore_frames(frames, people, options, smoothing=smoothing))
    assert len(done) == len(frames)
    np.testing.assert_array_equal(done[0].picture, frames[0])
    assert [len(result.faces) for result in done] == [len(faces) for faces in places]
