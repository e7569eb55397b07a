"""How fast the network is here, and what memory it takes: each form beside the plain one, and beside a peer."""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor

from .architecture.precision import DTYPES, PRECISIONS, float32_as
from .architecture.prepared import prepare
from .config import GPENConfig, ModelCard
from .errors import ConfigError, DeviceError
from .formats.export import INPUT, to_onnx
from .formats.onnx_model import open_session
from .weights import GPEN

FORMS = ("plain", "prepared", "compiled", "graphed")
PEERS = ("onnxruntime",)


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """What is measured.

    sizes: of networks with the official channel tables; batches: faces in one call; runs: timed calls of each form,
    taken in turn so that a busy machine slows all alike; memory: also take the peak, each in a process of its own.
    """

    sizes: tuple[int, ...] = (512,)
    batches: tuple[int, ...] = (1,)
    precisions: tuple[str, ...] = ("fp32", "bf16")
    forms: tuple[str, ...] = ("plain", "prepared")
    device: str = "cpu"
    runs: int = 5
    memory: bool = True
    peers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, choices in (("precisions", PRECISIONS[1:]), ("forms", FORMS), ("peers", PEERS)):
            for value in getattr(self, name):
                if value not in choices:
                    raise ConfigError(f"{name} has {value!r}; it may have {', '.join(choices)}")
        if self.runs < 1 or any(batch < 1 for batch in self.batches):
            raise ConfigError(f"runs is {self.runs} and batches {self.batches}; they must be at least 1")


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One row: the median time of a face, and the speed as a multiple of the plain form's in float32 (`ratio`).

    peak_bytes: above `import torch`; on CUDA: allocated. None: not measured.
    """

    size: int
    batch: int
    form: str
    precision: str
    device: str
    seconds_per_face: float
    faces_per_second: float
    peak_bytes: int | None
    ratio: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def official(size: int) -> GPENConfig:
    """The configuration of the official network of `size`: half as wide at 256 and below."""
    if size <= 256:
        return GPENConfig.standard(size, channel_multiplier=1, narrow=0.5)
    return GPENConfig.standard(size)


def measure(options: BenchOptions, model: GPEN | None = None) -> Iterator[Measurement]:
    """Rows as they are measured: plain first, for the others' ratio.

    model: to be measured instead of networks of `options.sizes` with random weights (which are as fast as any).
    Raises DeviceError for what the device cannot do, MissingPackageError for a peer that is not installed.
    """
    device = torch.device(options.device)
    for size in options.sizes if model is None else (model.config.in_size,):
        network = model if model is not None else _random_network(official(size))
        network = network.to(device).eval()
        for batch in options.batches:
            yield from _measure_batch(network, batch, device, options)


def _measure_batch(network: GPEN, batch: int, device: torch.device, options: BenchOptions) -> Iterator[Measurement]:
    size = network.config.in_size
    faces = torch.rand(batch, 3, size, size, generator=Generator().manual_seed(0)).to(device) * 2 - 1
    calls = {(peer, "fp32"): onnxruntime_call(network, faces) for peer in options.peers}
    for form in options.forms:
        # On a CPU the plain form is for float32; in other precisions nobody would run it.
        precisions = ("fp32",) if form == "plain" and device.type == "cpu" else options.precisions
        for precision in precisions:
            calls[form, precision] = form_call(network, form, precision, faces)
    # A peer's idle threads may go on spinning after a call, at the cost of the next one.
    seconds = interleaved(calls, options.runs, device, pause=0.3 if options.peers else 0.0)
    plain = seconds.get(("plain", "fp32"))
    for (form, precision), total in sorted(seconds.items(), key=lambda item: -item[1]):
        peak = None
        if options.memory and form in ("plain", "prepared"):
            peak = peak_memory(network.config, form, precision, batch, device)
        yield Measurement(
            size=size,
            batch=batch,
            form=form,
            precision=precision,
            device=str(device),
            seconds_per_face=total / batch,
            faces_per_second=batch / total,
            peak_bytes=peak,
            ratio=plain / total if plain is not None else None,
        )


def form_call(network: GPEN, form: str, precision: str, faces: Tensor) -> Callable[[], object]:
    """Restores `faces` by this form of `network`, when called."""
    device = faces.device
    if form == "plain":
        plain = network if precision in ("fp32", "tf32") else _twin(network).to(device, DTYPES[precision])

        def call() -> object:
            with torch.no_grad(), float32_as(precision, device):
                return plain(faces)

        return call
    compiled, graphed = form == "compiled", form == "graphed"
    fast = prepare(network, precision=precision, device=device, compile=compiled, graph=graphed)
    return lambda: fast(faces)


def onnxruntime_call(network: GPEN, faces: Tensor) -> Callable[[], object]:
    """Restores `faces` by ONNX Runtime on the CPU, in float32, with as many threads as torch has."""
    if faces.device.type != "cpu":
        raise DeviceError(f"the onnxruntime peer runs on the CPU, not on {faces.device}; leave it out there")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gpen.onnx"
        to_onnx(network, file, {})
        session = open_session(file, ["cpu"])
    given = {INPUT: faces.numpy()}
    return lambda: session.run(None, given)


def interleaved(
    calls: dict[tuple[str, str], Callable[[], object]], runs: int, device: torch.device, *, pause: float = 0.0
) -> dict[tuple[str, str], float]:
    """The median seconds of each call over `runs` rounds in which each has its turn, after one round of warming up.

    pause: seconds before each call.
    """
    times: dict[tuple[str, str], list[float]] = {name: [] for name in calls}
    for round_ in range(runs + 1):
        for name, call in calls.items():
            _finish(device)
            time.sleep(pause)
            start = time.perf_counter()
            call()
            _finish(device)
            if round_:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def peak_memory(config: GPENConfig, form: str, precision: str, batch: int, device: torch.device) -> int | None:
    """The most bytes that one call takes, building included; None where the system does not tell.

    On a CPU: of a process of its own, above what it has after `import torch`. On CUDA: what the call alone allocates
    with its weights.
    """
    if device.type == "cuda":
        call = form_call(_random_network(config).to(device), form, precision, _zeros(config, batch, device))
        torch.cuda.reset_peak_memory_stats(device)
        call()
        return torch.cuda.max_memory_allocated(device)
    if device.type != "cpu":
        return None
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_peak_of_a_call, (config.to_dict(), form, precision, batch, torch.get_num_threads()))


def _peak_of_a_call(config: dict[str, Any], form: str, precision: str, batch: int, threads: int) -> int | None:
    torch.set_num_threads(threads)
    before = _memory("VmRSS")
    wanted = GPENConfig.from_dict(config)
    faces = _zeros(wanted, batch, torch.device("cpu"))
    form_call(_random_network(wanted), form, precision, faces)()
    after = _memory("VmHWM")
    return None if before is None or after is None else after - before


def _memory(field: str) -> int | None:
    """Bytes of this process, as Linux counts them (VmRSS: now, VmHWM: at most); None elsewhere."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    for line in status.read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    return None


def _random_network(config: GPENConfig) -> GPEN:
    return GPEN(config, ModelCard(name="random"), generator=Generator().manual_seed(0)).eval()


def _twin(network: GPEN) -> GPEN:
    twin = GPEN(network.config, network.card)
    twin.load_state_dict(network.state_dict())
    return twin.eval()


def _zeros(config: GPENConfig, batch: int, device: torch.device) -> Tensor:
    return torch.zeros(batch, 3, config.in_size, config.in_size, device=device)


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def text(rows: Sequence[Measurement]) -> list[tuple[str, ...]]:
    """The rows as cells: size, batch, form, precision, ms a face, faces/s, peak MB, ratio to plain."""
    return [
        (
            str(row.size),
            str(row.batch),
            row.form,
            row.precision,
            f"{row.seconds_per_face * 1e3:.0f}",
            f"{row.faces_per_second:.2f}",
            "–" if row.peak_bytes is None else f"{row.peak_bytes / 1e6:.0f}",
            "–" if row.ratio is None else f"{row.ratio:.2f}×",
        )
        for row in rows
    ]
