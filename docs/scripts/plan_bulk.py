"""What a bulk run costs: the seconds of its stages here, and runs of any width simulated from them.

python docs/scripts/plan_bulk.py PICTURES [--device cpu] [--model NAME] [--workers 1 2 8] [--cores 2] [--gpus 1]
    [--count 50] [--network-ms 10] [--price 0.05]

PICTURES: a folder; the first --count of it go through the stages of `gpen bulk` one after the other, in this process,
with one thread (on a CPU its own time counts, whatever else runs). Then prints
what a picture takes in each, and for each number of workers what a run would do: pictures
an hour, what it waits for, and pictures for an hour's price. --network-ms: instead of what a face takes the network
here, for a device that is not at hand: detecting then takes as much less.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from gpen_core import FaceRestorer, RestoreOptions, load_detector, load_model
from gpen_core.batch import BatchOptions, restoring
from gpen_core.bulk import collect_archive
from gpen_core.bulk.stages import Networks, Reader, Writer, packed, unpacked
from gpen_core.bulk.tries import Tries
from gpen_core.measures.figures import face_figures

#: Pictures that wait between two stages, for each worker, before the stage in front pauses.
WAITING = 4


@dataclass(frozen=True)
class Seconds:
    """What one picture takes. beside: what an actor does besides detecting and restoring: aligning, masks, placing."""

    read: float
    detect: float
    network: float
    beside: float
    write: float

    @property
    def actor(self) -> float:
        """In the actor."""
        return self.detect + self.network + self.beside


def now(device: str) -> float:
    """Seconds: of this process alone on a CPU, which other programs disturb less."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


class Timed:
    """A network that counts its seconds."""

    def __init__(self, network: Any, device: str) -> None:
        self._network, self._device, self.seconds = network, device, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def __call__(self, *given: Any) -> Any:
        """What the network gives."""
        began = now(self._device)
        result = self._network(*given)
        self.seconds += now(self._device) - began
        return result


def measured(folder: Path, count: int, model: str, device: str) -> tuple[list[Seconds], int]:
    """Seconds of each picture, and the number of faces."""
    network, detector = Timed(load_model(model, device=device), device), Timed(load_detector(device=device), device)
    faces, found = 0, []
    with tempfile.TemporaryDirectory() as out:
        options = BatchOptions(report=Path(out) / "report.parquet", figures=(face_figures,))
        process = restoring(FaceRestorer(network, detector), RestoreOptions(), pasted=False)
        tries = Tries()
        stages: tuple[Callable[[Any], Iterator[Any]], ...] = (
            Reader(options, tries),
            Networks(lambda: process, tries),
            Writer(options, tries),
        )
        items = [item for item in collect_archive([str(folder)], out) if not item.fault][:count]
        for item in [items[0], *items]:  # the first is done twice: nothing is warm then
            table, taken = packed([item]), []
            network.seconds = detector.seconds = 0.0
            for stage in stages:
                began = now(device)
                (table,) = stage(table)
                taken.append(now(device) - began)
            beside = taken[1] - network.seconds - detector.seconds
            found.append(Seconds(taken[0], detector.seconds, network.seconds, beside, taken[2]))
            faces += len(unpacked(table)[0].report.faces)
    return found[1:], faces


def simulated(pictures: Sequence[Seconds], *, workers: int, cores: int, gpus: int = 0) -> tuple[float, str]:
    """(pictures a second, what was busy longest) of a run of these pictures over and over.

    Every task, an actor's too, takes a core while it runs, in the order in which it became possible, later stages
    first. A stage pauses while WAITING pictures for each worker lie in front of the next. Detectors and networks of all
    workers take turns on the GPUs, where there are some.
    """
    total = max(400, 40 * workers)
    source = itertools.cycle(pictures)
    waiting: list[list[Seconds]] = [[], [], []]
    running: list[tuple[float, int, int, Seconds]] = []
    busy, numbers = [0, 0, 0], itertools.count()
    spent, clock, begun, done = [0.0, 0.0, 0.0], 0.0, 0, 0
    marks: list[float] = []

    def takes(stage: int, one: Seconds) -> float:
        return (one.read, one.actor, one.write)[stage]

    while done < total:
        for stage in (2, 1, 0):
            while True:
                limit = workers if stage == 1 else cores
                free = busy[stage] < limit and sum(busy) < cores
                room = stage == 2 or len(waiting[stage + 1]) + busy[stage] < WAITING * workers
                ready = begun < total if stage == 0 else bool(waiting[stage])
                if not (free and room and ready):
                    break
                one = next(source) if stage == 0 else waiting[stage].pop(0)
                begun += stage == 0
                busy[stage] += 1
                spent[stage] += takes(stage, one)
                heapq.heappush(running, (clock + takes(stage, one), next(numbers), stage, one))
        clock, _, stage, one = heapq.heappop(running)
        busy[stage] -= 1
        if stage == 2:
            done += 1
            marks.append(clock)
        else:
            waiting[stage + 1].append(one)
    # Without the time in which the stages fill and empty.
    first, last = marks[len(marks) // 4], marks[3 * len(marks) // 4]
    rate = (3 * len(marks) // 4 - len(marks) // 4) / (last - first)
    shares = {"cores": sum(spent) / cores / clock, "workers": spent[1] / workers / clock}
    if gpus:
        of_gpus = gpus / statistics.mean(one.detect + one.network for one in pictures)
        if of_gpus < rate:
            return of_gpus, "gpus"
    return rate, max(shares, key=lambda name: shares[name])


def assumed(seconds: Sequence[Seconds], faces: int, network_ms: float) -> Iterator[Seconds]:
    """The same on a device whose network takes so long a face, and whose detector is as much faster."""
    a_face = sum(one.network for one in seconds) / max(1, faces)
    share = network_ms / 1000 / a_face if a_face else 1.0
    return (replace(one, network=one.network * share, detect=one.detect * share) for one in seconds)


def main() -> None:
    """Prints two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--model", default="gpen-open")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--cores", type=int, nargs="+", default=[2])
    parser.add_argument("--gpus", type=int, default=0)
    parser.add_argument("--network-ms", type=float)
    parser.add_argument("--price", type=float, help="of all of it for an hour")
    options = parser.parse_args()
    torch.set_num_threads(1)
    write = sys.stdout.write
    seconds, faces = measured(options.pictures, options.count, options.model, options.device)
    if options.network_ms is not None:
        seconds = list(assumed(seconds, faces, options.network_ms))
    write(f"{len(seconds)} pictures, {faces} faces; milliseconds a picture (mean, median)\n")
    for name in ("read", "detect", "network", "beside", "write"):
        values = [1000 * getattr(one, name) for one in seconds]
        write(f"{name:8s} {statistics.mean(values):8.1f} {statistics.median(values):8.1f}\n")
    write("workers  cores  pictures/hour  waits for" + ("  pictures for the price\n" if options.price else "\n"))
    for workers, cores in itertools.product(options.workers, options.cores):
        rate, bound = simulated(seconds, workers=workers, cores=cores, gpus=options.gpus)
        price = f"  {3600 * rate / options.price:,.0f}" if options.price else ""
        write(f"{workers:7d} {cores:6d} {3600 * rate:14,.0f}  {bound:9s}{price}\n")


if __name__ == "__main__":
    main()
