"""Three minutes of film through the detector and the model that ship: memory, sound, flicker, and time beside theirs.

python docs/scripts/measure_film.py FACES [--seconds 180] [--threads N] [--preset faster] [--keep FOLDER]

FACES: a folder of aligned faces, of which a film of 640×360 is made here: every twelve seconds another scene with one
or two people who wander, cross, and turn away and back, softened and with grain as old films have it, and sound. Prints
- memory at every tenth of the run, and the last tenth over the second;
- whether the sound's packets are the source's, byte for byte;
- flicker of the restored faces, without smoothing, and of the source's;
- milliseconds a frame of the whole, and of detector and network alone: every tenth block of frames is given to these
  again, with nothing beside them. By the clock, and as computed by all threads; and of what the run computed, the share
  of its main thread (with --threads 1 the decoder's and the encoder's threads are the others).
"""

from __future__ import annotations

import argparse
import hashlib
import math
import statistics
import tempfile
import time
from pathlib import Path

import av
import numpy as np
import torch
from bench_video import Timed, TimedRestorer, resident
from PIL import Image, ImageFilter

from gpen_core import load_detector, load_model
from gpen_core.film_options import BLOCK
from gpen_core.video import FilmOptions, FilmReport, restore_film

WIDTH, HEIGHT, RATE, SOUND = 640, 360, 25, 48_000
SCENE = 12 * RATE
#: One block of so many is given to detector and network alone.
ONE_IN = 10


def placed(canvas: Image.Image, face: Image.Image, x: float, y: float, side: float, turned: float) -> None:
    """Puts a face of `side` px around (x, y), soft at its edge, narrower where it is turned away."""
    wide, high = max(8, round(side * turned)), round(side)
    ramp = np.hypot(*np.meshgrid(np.linspace(-1, 1, wide), np.linspace(-1, 1, high)))
    mask = Image.fromarray((255 * np.clip((1 - ramp) * 8, 0, 1)).astype(np.uint8))
    left, top = x - wide / 2, y - high / 2
    part = face.resize((wide, high), Image.Resampling.BICUBIC)
    # What is left of the place after whole pixels moves the face within its own frame.
    shift = (1, 0, math.floor(left) - left, 0, 1, math.floor(top) - top)
    part = part.transform(part.size, Image.Transform.AFFINE, shift, Image.Resampling.BICUBIC)
    canvas.paste(part, (math.floor(left), math.floor(top)), mask)


def frame_of(t: int, faces: list[Image.Image], grain: np.ndarray) -> np.ndarray:
    """(360, 640, 3): frame `t`."""
    scene, now = t // SCENE, t % SCENE / SCENE
    draw = np.random.default_rng(scene)
    ground = Image.fromarray(draw.integers(30, 200, (5, 8, 3), dtype=np.uint8))
    canvas = ground.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    for person in range(1 + scene % 2):
        face = faces[(2 * scene + person) % len(faces)]
        across = now if person else 1 - now
        sway = math.sin(2 * math.pi * (now * 3 + person / 3))
        side = 150 + 30 * math.sin(2 * math.pi * now + person)
        turned = 1 - 0.7 * max(0.0, math.sin(3 * math.pi * now)) if scene % 3 == 2 else 1.0
        placed(canvas, face, 120 + 400 * across, 180 + 25 * sway + 20 * person, side, turned)
    pixels = np.asarray(canvas.filter(ImageFilter.GaussianBlur(1.2)), dtype=np.float32)
    moved = np.roll(grain[t % len(grain)], (31 * t % HEIGHT, 17 * t % WIDTH), (0, 1))
    levels: np.ndarray = np.clip(pixels + moved, 0, 255).astype(np.uint8)
    return levels


def make_film(path: Path, folder: Path, frames: int) -> None:
    """A film with sound."""
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".png"))[:24]
    faces = [Image.open(p).convert("RGB").resize((256, 256)) for p in files]
    grain = np.random.default_rng(0).normal(0, 4, (8, HEIGHT, WIDTH, 1)).astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "20", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        voice = container.add_stream("aac", rate=SOUND, layout="mono")
        for t in range(frames):
            picture = av.VideoFrame.from_ndarray(frame_of(t, faces, grain), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        place = np.arange(SOUND * frames // RATE)
        samples = (0.3 * np.sin(place * 0.03) * np.sin(place * 0.0002)).astype(np.float32)
        for start in range(0, len(samples) - 1024, 1024):
            frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="fltp", layout="mono")
            frame.sample_rate, frame.pts = SOUND, start
            container.mux(voice.encode(frame))
        container.mux(voice.encode(None))


def sound_of(path: Path) -> str:
    """A digest of the sound's packets and their times."""
    digest = hashlib.sha256()
    with av.open(str(path)) as container:
        for packet in container.demux(audio=0):
            if packet.size:
                digest.update(bytes(packet) + str(float(packet.pts * packet.time_base)).encode())
    return digest.hexdigest()


def alone(path: Path, restorer: TimedRestorer, network: Timed) -> tuple[int, float, float]:
    """(frames, seconds, seconds computed by all threads) of detector and network on one block in ONE_IN."""
    frames, seconds, computed = 0, 0.0, 0.0
    with av.open(str(path)) as container:
        held = []
        for index, frame in enumerate(container.decode(video=0)):
            if index // BLOCK % ONE_IN:
                continue
            held.append(frame.to_ndarray(format="rgb24"))
            if len(held) < BLOCK:
                continue
            each = zip(held, restorer.find.inner(held), strict=True)
            crops = torch.cat([restorer.align(picture, faces).crops for picture, faces in each])
            inputs = network.card.into_range(crops)
            began, used = time.perf_counter(), time.process_time()
            with torch.no_grad():
                restorer.find.inner(held)
                if len(inputs):
                    network.inner(inputs)
            seconds, computed = seconds + time.perf_counter() - began, computed + time.process_time() - used
            frames, held = frames + len(held), []
    return frames, seconds, computed


def show(report: FilmReport, memory: list[float], heard: bool) -> None:
    """Prints what does not depend on the clock."""
    tenths = [statistics.median(part) for part in np.array_split(memory, min(10, len(memory))) if len(part)]
    print(f"{report.frames} frames {WIDTH}×{HEIGHT}, {report.faces} faces in {len(report.tracks)} tracks")
    print(f"memory, MB, by tenths: {' '.join(f'{m:.0f}' for m in tenths)}", end="")
    print(f" ({100 * (tenths[-1] / tenths[min(1, len(tenths) - 1)] - 1):+.1f} % from the second to the last)")
    print(f"sound {'is the source’s, byte for byte' if heard else 'DIFFERS from the source’s'}")
    print(f"flicker, levels: {report.flicker:.3f}, without smoothing {report.flicker_without_smoothing:.3f}, ", end="")
    print(f"of the source {report.flicker_of_source:.3f}")


def main() -> None:
    """Makes the film, restores it, prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=Path)
    parser.add_argument("--seconds", type=float, default=180)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch")
    parser.add_argument("--preset", default="faster")
    parser.add_argument("--keep", type=Path, help="a folder for the film and its result")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    frames = round(arguments.seconds * RATE)
    with tempfile.TemporaryDirectory() as place:
        folder = arguments.keep or Path(place)
        folder.mkdir(parents=True, exist_ok=True)
        source, target = folder / "source.mp4", folder / "restored.mp4"
        make_film(source, arguments.faces, frames)
        network = Timed(load_model())
        restorer = TimedRestorer(network, load_detector())
        memory: list[float] = []
        began, computed, here = time.perf_counter(), time.process_time(), time.thread_time()
        report = restore_film(
            source,
            target,
            restorer,
            film=FilmOptions(preset=arguments.preset, overwrite=True),
            progress=lambda _: memory.append(resident()),
        )
        whole, whole_computed = time.perf_counter() - began, time.process_time() - computed
        here = time.thread_time() - here
        parts = ((restorer.find.computed, "finding"), (network.computed, "network"), (here, "main thread in all"))
        show(report, memory, sound_of(source) == sound_of(target))
        seen, seconds, seconds_computed = alone(source, restorer, network)
    print(f"milliseconds a frame, {arguments.threads} threads, preset {arguments.preset}:")
    for name, all_of_it, of_them in (
        ("by the clock", whole / frames, seconds / seen),
        ("computed, all threads", whole_computed / frames, seconds_computed / seen),
    ):
        ratio = all_of_it / of_them
        print(f"  {name}: {1e3 * all_of_it:.1f}; detector and network alone {1e3 * of_them:.1f}; {ratio:.2f}×")
    print(f"  within the run: {', '.join(f'{name} {1e3 * taken / frames:.1f}' for taken, name in parts)}, ", end="")
    print(f"other threads {1e3 * (whole_computed - here) / frames:.1f}")


if __name__ == "__main__":
    main()
