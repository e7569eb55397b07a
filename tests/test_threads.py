"""How many cores each thread computes with, so that OpenMP's teams are never more than the cores."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from small_restorers import face, inverted, labels, photograph

import gpen_core.weights
from gpen_core import FaceRestorer, Masking, RestoreOptions, load_detector
from gpen_core.batch import BatchOptions, Item, run_batch
from gpen_core.images import as_picture, read_picture
from gpen_core.images.writing import encode_picture
from gpen_core.threads import OneThread, ThreadsBeside, side_by_side

EXAMPLE = Path(__file__).parent.parent / "gpen_core" / "examples" / "sent-around.jpg"


def cores_of_a_new_thread() -> int:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return found[0]


def test_threads_beside_compute_alone_and_leave_no_trace(two_cores):
    with ThreadsBeside(2, "beside") as pool:
        assert {pool.submit(torch.get_num_threads).result() for _ in range(4)} == {1}
        assert torch.get_num_threads() == 2
    assert (torch.get_num_threads(), cores_of_a_new_thread()) == (2, 2)


def test_one_thread_computes_with_as_many_cores_as_its_maker_or_as_it_is_told(two_cores):
    assert [OneThread(cores).submit(torch.get_num_threads).result() for cores in (None, 1)] == [2, 1]
    with OneThread(1) as one:
        assert one.submit(torch.get_num_threads).result() == 1
    assert (torch.get_num_threads(), cores_of_a_new_thread()) == (2, 2)


def test_one_thread_ends_once_it_is_told_and_has_done_what_it_was_given():
    thread = OneThread()
    worker = thread.submit(threading.current_thread).result()
    last = thread.submit(time.sleep, 0.05)
    thread.shutdown()
    worker.join(120)
    assert last.done()
    assert not worker.is_alive()


def test_side_by_side_is_in_order_two_at_a_time_and_holds_few(two_cores):
    both, taken = threading.Barrier(2), []

    def given():
        for number in range(8):
            taken.append(number)
            yield number

    def squared(number: int) -> tuple[int, int]:
        both.wait(120)  # no one gets through alone
        return number**2, torch.get_num_threads()

    found = []
    for one in side_by_side(squared, given(), 2):
        found.append(one)
        assert len(taken) <= len(found) + 2
    assert found == [(number**2, 1) for number in range(8)]
    assert list(side_by_side(lambda _: torch.get_num_threads(), range(2), 1)) == [2, 2]


def test_in_a_folder_only_the_network_has_all_cores(two_cores, tmp_path):
    seen: dict[str, set[int]] = {"restoring": set(), "writing": set()}
    restorer = FaceRestorer(inverted(), lambda pictures: [[face(20, 15, 50)] for _ in pictures])

    def process(pictures):
        seen["restoring"].add(torch.get_num_threads())
        return list(restorer.restore_many(pictures))

    def figures(face, picture):
        seen["writing"].add(torch.get_num_threads())
        return {}

    items = []
    for number in range(4):
        items.append(Item(source=tmp_path / f"{number}.png", target=tmp_path / "out" / f"{number}.png"))
        data, _ = encode_picture(as_picture(photograph()), "PNG", items[-1].source)
        items[-1].source.write_bytes(data)
    summary = run_batch(items, process, BatchOptions(report=tmp_path / "out" / "report.json", figures=(figures,)))
    assert (summary.done, seen) == (4, {"restoring": {2}, "writing": {1}})


@pytest.mark.parametrize(
    ("loader", "says", "masking"),
    [
        ("load_parser", labels, Masking(kind="parser")),
        ("load_occluder", lambda crops: torch.zeros_like(crops[:, 0]), Masking(occlusion=True)),
    ],
)
def test_a_part_that_several_threads_need_at_once_is_loaded_once(monkeypatch, loader, says, masking):
    made: list[object] = []

    def load(**_):
        time.sleep(0.1)
        made.append(lambda crops: says(crops))
        return made[-1]

    monkeypatch.setattr(gpen_core.weights, loader, load)
    restorer = FaceRestorer(inverted(), lambda pictures: [[face(20, 15, 50)] for _ in pictures])
    with ThreadPoolExecutor(2) as pool:
        options = RestoreOptions(masking=masking)
        asked = [pool.submit(restorer.restore, photograph(), options) for _ in range(2)]
        assert [len(one.result().faces) for one in asked] == [1, 1]
    assert len(made) == 1


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="other libraries promise less than MKL")
def test_the_shipped_detector_finds_the_same_to_the_bit_on_any_number_of_cores(two_cores):
    detector = load_detector(device="cpu")
    found = []
    for cores in (1, 2):
        torch.set_num_threads(cores)
        (one,) = FaceRestorer(SimpleNamespace(), detector).detect(read_picture(EXAMPLE))
        found.append((one.box.tolist(), one.landmarks.tolist(), one.score))
    assert found[0] == found[1]


def test_torch_s_modes_of_who_asks_hold_in_other_threads():
    def modes(_: object = None) -> tuple[bool, bool]:
        return torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    with torch.inference_mode(), OneThread() as one:
        assert one.submit(modes).result() == (True, False)
        assert list(side_by_side(modes, range(2), 2)) == [(True, False)] * 2
    with torch.no_grad(), OneThread() as one:
        assert one.submit(modes).result() == (False, False)
        assert list(side_by_side(modes, range(2), 2)) == [(False, False)] * 2
    assert list(side_by_side(modes, range(2), 2)) == [(False, True)] * 2
