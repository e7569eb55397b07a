"""What a bulk run asks of Ray, and what it says where Ray has no room for it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from gpen_core.bulk import Workers, run
from gpen_core.errors import GPENError, InputError


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Joins a cluster that has so much; nothing of Ray itself is needed."""

    def join(workers: Workers, **there: float) -> None:
        context = SimpleNamespace(enable_progress_bars=True)
        data = SimpleNamespace(DataContext=SimpleNamespace(get_current=lambda: context))
        ray = SimpleNamespace(is_initialized=lambda: True, cluster_resources=lambda: there, data=data)
        monkeypatch.setattr(run, "_ray_data", lambda: ray)
        run._ray(workers)

    monkeypatch.setattr(logging.getLogger("ray.data"), "level", logging.CRITICAL)
    return join


def test_workers_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="count of the workers is 0; it must be at least 1"):
        Workers(count=0)
    with pytest.raises(InputError, match="gpus of the workers is nan; it must be at least 0"):
        Workers(gpus=math.nan)


@pytest.mark.parametrize(("address", "remedy"), [("", "gpen restore"), ("127.0.0.1:1", "127.0.0.1:1; start a cluster")])
def test_a_ray_that_does_not_start_is_told_in_a_line_with_a_remedy(monkeypatch, address, remedy):
    def init(**options: object) -> None:
        raise Exception("the node timed out")

    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr(run, "_ray_data", lambda: SimpleNamespace(is_initialized=lambda: False, init=init))
    with pytest.raises(GPENError, match=f"the node timed out.*{remedy}"):
        run._ray(Workers())


@pytest.mark.parametrize("count", [2, 3, 4])
def test_workers_that_a_cluster_has_no_cpus_for_are_refused(count, joined):
    with pytest.raises(InputError, match=rf"are {count + 1} CPUs, and Ray has 2; take fewer \(--workers\)") as refused:
        joined(Workers(count=count), CPU=2.0)
    assert "\n" not in str(refused.value)
    assert "--cpus-per-worker" in str(refused.value)


def test_workers_that_a_cluster_has_no_gpus_for_are_refused(joined):
    with pytest.raises(InputError, match=r"3 workers of 0\.5 GPUs are 1\.5 GPUs, and Ray has 1; .*--gpus-per-worker"):
        joined(Workers(count=3, gpus=0.5), CPU=16.0, GPU=1.0)
    with pytest.raises(InputError, match="and Ray has 0;"):
        joined(Workers(gpus=1), CPU=16.0)


def test_workers_that_there_is_room_for_or_that_a_cluster_grows_for_are_taken(joined):
    joined(Workers(), CPU=2.0)
    joined(Workers(count=10, cpus=0.1, gpus=0.1), CPU=2.0, GPU=1.0)
    joined(Workers(count=100, gpus=1, autoscaling=True), CPU=2.0)


@pytest.mark.parametrize("address", ["", "head:6379"])
def test_only_a_ray_that_is_started_here_is_told_its_cpus_and_to_keep_no_notes_of_tasks(address, monkeypatch):
    told: dict[str, object] = {}

    def init(**options: object) -> None:
        told.update(options)
        raise Exception("enough")

    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr(run, "_ray_data", lambda: SimpleNamespace(is_initialized=lambda: False, init=init))
    with pytest.raises(GPENError, match="enough"):
        run._ray(Workers(count=2))
    here = {"num_cpus": 4, "_system_config": {"task_events_report_interval_ms": 0}}
    assert {key: told.get(key) for key in here} == (dict.fromkeys(here) if address else here)
