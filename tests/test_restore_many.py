"""Many faces, many pictures, and batches that fit the memory."""

import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_restorers import face, inverted, photograph
from torch import Tensor, nn

from gpen_core.errors import InputError
from gpen_core.options import RestoreOptions
from gpen_core.restore import FaceRestorer
from gpen_core.restore.run import BatchSizer, run_network


def test_two_hundred_faces_are_restored_in_small_batches() -> None:
    given = photograph(200, 400)
    where = [face(x, y, 8.0) for x in range(5, 385, 20) for y in range(5, 190, 18)][:200]
    model, seen = inverted(32), []
    options = RestoreOptions(batch_size=16, keep_crops=False)
    result = FaceRestorer(model).restore(given, options, detections=where, progress=lambda *now: seen.append(now))
    assert len(result.faces) == 200
    assert max(model.batches) <= 16
    assert seen[-1] == (200, 200)
    assert result.faces[0].crop is None


@pytest.mark.parametrize("one", ["portrait.jpg", Path("portrait.jpg")])
def test_one_name_is_no_list_of_pictures(one: Any) -> None:
    with pytest.raises(InputError, match=r"pictures is one, 'portrait\.jpg'; give a list"):
        next(iter(FaceRestorer(inverted()).restore_many(one)))


def test_what_becomes_of_a_face_does_not_depend_on_its_batch() -> None:
    """Crops of other sizes and places beside it, and what covers it, by the network that ships."""
    given = photograph(200, 400)
    where = [face(30.3, 20.7, 41.0), face(-12.2, 90.1, 60.6), face(120.9, 30.2, 150.3), face(330.4, 50.5, 71.7)]
    model = inverted()
    results = [
        FaceRestorer(model).restore(given, RestoreOptions(batch_size=size), detections=where) for size in (1, 3, 4)
    ]
    for other in results[1:]:
        assert np.array_equal(other.picture, results[0].picture)
        for mine, theirs in zip(other.faces, results[0].faces, strict=True):
            assert torch.equal(mine.crop, theirs.crop)
            assert torch.equal(mine.mask, theirs.mask)


def test_many_pictures_share_batches_and_come_back_in_order() -> None:
    model = inverted()
    pictures = [photograph(60 + i, 80) for i in range(6)]
    wheres = [[face(20, 10, 30)] if i != 2 else [] for i in range(6)]
    results = list(FaceRestorer(model).restore_many(pictures, RestoreOptions(batch_size=3), detections=wheres))
    assert sum(model.batches) == 5
    assert len(model.batches) < 5
    for one, where, result in zip(pictures, wheres, results, strict=True):
        alone = FaceRestorer(inverted()).restore(one, detections=where)
        np.testing.assert_array_equal(result.picture, alone.picture)


def test_many_pictures_are_read_no_further_ahead_than_needed() -> None:
    taken = []

    def pictures() -> Any:
        for index in range(100):
            taken.append(index)
            yield photograph(20, 20)

    results = FaceRestorer(inverted(), detector=lambda images: [[]]).restore_many(pictures())
    next(results)
    assert len(taken) == 1


def test_progress_can_cancel_a_run() -> None:
    class CancelledError(Exception):
        pass

    def stop(done: int, found: int) -> None:
        raise CancelledError

    model = inverted()
    with pytest.raises(CancelledError):
        FaceRestorer(model).restore(photograph(), detections=[face(30, 20, 40)] * 20, progress=stop)
    assert sum(model.batches) <= 4


class _Scarce(nn.Module):
    """A device that holds two faces at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 2:
            raise torch.cuda.OutOfMemoryError("out of memory")
        self.batches.append(len(x))
        return x * 2


def test_a_batch_that_does_not_fit_is_halved_and_remembered() -> None:
    network, sizer = _Scarce(), BatchSizer(8)
    inputs = torch.rand(7, 3, 8, 8)
    torch.testing.assert_close(run_network(network, inputs, sizer), inputs * 2)
    assert max(network.batches) == 2
    sizer.took(2, 0.001)
    assert sizer.next(8) <= 2


def test_what_did_not_fit_is_let_go_before_the_halves_are_tried() -> None:
    held: list[weakref.ref[Tensor]] = []

    class Greedy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            assert not any(made() is not None for made in held)
            made = x.repeat(4, 1, 1, 1)
            held.append(weakref.ref(made))
            if len(x) > 1:
                raise torch.cuda.OutOfMemoryError("out of memory")
            return x * 2

    run_network(Greedy(), torch.rand(4, 3, 8, 8), BatchSizer(8))
    assert len(held) == 7


def test_one_face_that_does_not_fit_goes_on_on_the_cpu_with_a_warning() -> None:
    class Full(nn.Module):
        asked = 0

        def forward(self, x: Tensor) -> Tensor:
            self.asked += 1
            if self.asked == 1:
                raise torch.cuda.OutOfMemoryError("out of memory")
            return x + 1

    with pytest.warns(UserWarning, match="runs on the CPU"):
        result = run_network(Full(), torch.zeros(1, 3, 8, 8), BatchSizer())
    assert bool((result == 1).all())


def test_batches_grow_to_a_second_of_work_and_no_further() -> None:
    sizer = BatchSizer()
    assert sizer.next(64) == 2
    sizer.took(2, 0.5)
    assert sizer.next(64) == 4
    sizer.took(1, 3.0)
    assert sizer.next(64) == 1
