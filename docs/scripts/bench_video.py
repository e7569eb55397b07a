"""What a film costs beside detection and network, and whether memory grows: 300 frames of 1280×720 with two faces.

    python docs/scripts/bench_video.py [--frames 300] [--model MODEL] [--size 256]

Prints, of one run over a film made here (two textured faces that move, film grain, sound):
- milliseconds a frame of a plain decode → encode copy, of the whole restoration, and of all that is neither detection
  nor network, against 1.3 × the copy plus 8 ms a face;
- resident memory over the last 50 frames against that over the first 50;
- the greatest distance between sound and pictures of the result and those of the source;
- flicker with and without smoothing.
The detector is a stand-in that knows where the faces are; the network a small convolution, or --model.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
import torch.nn.functional as F

from gpen_core import FaceRestorer, load_model
from gpen_core.config import GPENConfig, ModelCard
from gpen_core.contracts import Detector, Model
from gpen_core.faces.types import Detection
from gpen_core.images import PictureLike
from gpen_core.options import Selection
from gpen_core.video import FilmOptions, restore_film

HEIGHT, WIDTH, SIDE = 720, 1280, 220
POINTS = ((0.36, 0.42), (0.64, 0.42), (0.5, 0.58), (0.39, 0.73), (0.61, 0.73))


class Timed:
    """A callable that counts the seconds spent in it, and those that its thread computed."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.seconds, self.computed = inner, 0.0, 0.0
        self.config: Any = getattr(inner, "config", None)
        self.card: Any = getattr(inner, "card", None)

    def __call__(self, *given: Any) -> Any:
        """What the inner callable gives."""
        began, computed = time.perf_counter(), time.thread_time()
        result = self.inner(*given)
        self.seconds += time.perf_counter() - began
        self.computed += time.thread_time() - computed
        return result


class TimedRestorer(FaceRestorer):
    """Counts what finding faces takes, the shrinking of the frame for the detector included."""

    def __init__(self, model: Model, detector: Detector) -> None:
        super().__init__(model, detector)
        self.find = Timed(super().detect_together)

    def detect_together(
        self, pictures: Sequence[PictureLike], selection: Selection | None = None
    ) -> list[list[Detection]]:
        """The frames' faces."""
        found: list[list[Detection]] = self.find(pictures, selection)
        return found


class Sharpen:
    """Stands in for a network of `size` px."""

    def __init__(self, size: int) -> None:
        self.config, self.card = GPENConfig.standard(size), ModelCard(name="sharpen", template="ffhq")

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Crops with twice their fine detail."""
        return x + (x - F.avg_pool2d(F.pad(x, [1] * 4, mode="reflect"), 3, 1))


class Known:
    """Stands in for a detector: the faces of frame after frame."""

    def __init__(self) -> None:
        self.frame = 0

    def __call__(self, pictures: torch.Tensor) -> list[list[Detection]]:
        """The next frames' faces."""
        scale = pictures.shape[-1] / WIDTH
        found = []
        for _ in pictures:
            random = np.random.default_rng(self.frame)
            faces = []
            for left, top in places(self.frame):
                points = np.array([(left + SIDE * x, top + SIDE * y) for x, y in POINTS]) + random.normal(
                    0, 0.7, (5, 2)
                )
                box = np.array((left, top, left + SIDE, top + SIDE), dtype=float)
                faces.append(
                    Detection(box=torch.tensor(box * scale), landmarks=torch.tensor(points * scale), score=0.99)
                )
            found.append(faces)
            self.frame += 1
        return found


def places(t: int) -> list[tuple[int, int]]:
    """Left and top of both faces in frame `t`."""
    return [(200 + t % 100, 200), (800, 150 + t // 4 % 60)]


def make_film(path: Path, frames: int) -> None:
    """A film with sound; the ground is smooth, the grain new in every frame."""
    random = np.random.default_rng(0)

    def smooth(height: int, width: int, cells: int) -> np.ndarray:
        coarse = torch.rand(1, 3, cells, cells, generator=torch.Generator().manual_seed(cells + height))
        fine = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)[0].clamp(0, 1)
        return (fine * 200 + 20).permute(1, 2, 0).numpy()

    ground, faces = smooth(HEIGHT, WIDTH, 12), [smooth(SIDE, SIDE, 9), smooth(SIDE, SIDE, 11)]
    grain = random.normal(0, 5, (8, HEIGHT, WIDTH, 1)).astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "18", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        voice = container.add_stream("aac", rate=44100, layout="mono")
        for t in range(frames):
            picture = ground + np.roll(grain[t % 8], 37 * t, 1)
            for (left, top), face in zip(places(t), faces, strict=True):
                picture[top : top + SIDE, left : left + SIDE] += face - ground[top : top + SIDE, left : left + SIDE]
            pixels = np.clip(picture, 0, 255).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
        samples = np.sin(np.arange(44100 * frames // 25) * 0.05).astype(np.float32)
        for start in range(0, len(samples) - 1024, 1024):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, start
            container.mux(voice.encode(frame))
        container.mux(voice.encode(None))


def copy(source: Path, target: Path, preset: str) -> tuple[float, float]:
    """Seconds, and seconds of computing, of decoding and encoding with the settings that films are written with."""
    began, computed = time.perf_counter(), time.process_time()
    with av.open(str(source)) as film, av.open(str(target), "w") as result:
        film.streams.video[0].thread_type = "AUTO"
        options = {"crf": "18", "preset": preset, "bf": "0", "rc-lookahead": "12"}
        stream = result.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for frame in film.decode(video=0):
            frame.pict_type = av.video.frame.PictureType.NONE
            result.mux(stream.encode(frame))
        result.mux(stream.encode(None))
    return time.perf_counter() - began, time.process_time() - computed


def resident() -> float:
    """Megabytes of memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def times(path: Path, kind: str) -> np.ndarray:
    """Presentation times of a stream, seconds."""
    with av.open(str(path)) as container:
        packets = container.demux(**{kind: 0})
        return np.array(sorted(float(p.pts * p.time_base) for p in packets if p.size))


def main() -> None:
    """Makes the film, copies it, restores it, prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--model", help="a model instead of the stand-in")
    parser.add_argument("--size", type=int, default=256, help="of the stand-in's crops")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch")
    parser.add_argument("--preset", default="medium")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    frames = arguments.frames
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.mp4"), Path(folder, "out.mp4")
        make_film(source, frames)
        plain, plain_computed = copy(source, Path(folder, "copy.mp4"), arguments.preset)
        network = Timed(load_model(arguments.model) if arguments.model else Sharpen(arguments.size))
        restorer = TimedRestorer(network, Known())
        detector = restorer.find
        memory: list[tuple[int, float]] = []
        began, computed = time.perf_counter(), time.process_time()
        report = restore_film(
            source,
            target,
            restorer,
            film=FilmOptions(preset=arguments.preset),
            progress=lambda at: memory.append((at.done, resident())),
        )
        whole, whole_computed = time.perf_counter() - began, time.process_time() - computed
        drift = max(float(np.abs(times(source, kind) - times(target, kind)).max()) for kind in ("video", "audio"))
    print(f"{frames} frames {WIDTH}×{HEIGHT}, {report.faces} faces; milliseconds a frame:")
    rows = (
        ("by the clock", plain, whole, network.seconds + detector.seconds),
        ("computed, all threads", plain_computed, whole_computed, network.computed + detector.computed),
    )
    for name, copied, restored, networks in rows:
        rest, allowed = (restored - networks) / frames * 1e3, 1.3 * copied / frames * 1e3 + 8 * report.faces / frames
        print(f"  {name}: copy {copied / frames * 1e3:.1f}, restoration {restored / frames * 1e3:.1f}, of which")
        print(f"    network and detector {networks / frames * 1e3:.1f}; the rest {rest:.1f} of {allowed:.1f} allowed")
    first = statistics.median(m for done, m in memory if done <= 50)
    last = statistics.median(m for done, m in memory if done > frames - 50)
    print(f"  by step, seconds: {', '.join(f'{step} {seconds:.1f}' for step, seconds in report.seconds.items())}")
    print(f"memory: first 50 frames {first:.0f} MB, last 50 {last:.0f} MB ({100 * (last / first - 1):+.1f} %)")
    print(f"pictures and sound off by at most {drift * 1e3:.2f} ms")
    print(f"flicker {report.flicker:.2f} of 255, {report.flicker_without_smoothing:.2f} without smoothing")


if __name__ == "__main__":
    main()
