"""Films small enough to make in a moment, with a face that a stand-in detector finds by its colour."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
import torch.nn.functional as F
from task_models import face_at

from gpen_core.config import GPENConfig, ModelCard

HEIGHT, WIDTH, SIDE = 72, 104, 40


def face_texture(seed: int = 0, side: int = SIDE) -> np.ndarray:
    """(side, side, 3) in [0, 1]: smooth blobs, the same for the same seed."""
    coarse = torch.rand(1, 3, 7, 7, generator=torch.Generator().manual_seed(seed))
    fine = F.interpolate(coarse, (side, side), mode="bicubic", align_corners=False)
    return (0.3 + 0.5 * fine[0].clamp(0, 1)).permute(1, 2, 0).numpy()


def scene(left: float, top: float, *, seed: int = 0, background: float = 0.2) -> np.ndarray:
    """(72, 104, 3) in [0, 1]: a face at (left, top), which may lie between pixels, on a plain ground."""
    canvas = torch.full((1, 3, HEIGHT, WIDTH), background)
    canvas[0, :, 10:20, 90:100] = 1 - background
    face = torch.from_numpy(face_texture(seed)).permute(2, 0, 1)[None].float()
    x = (torch.arange(WIDTH) - left + 0.5) / SIDE * 2 - 1
    y = (torch.arange(HEIGHT) - top + 0.5) / SIDE * 2 - 1
    grid = torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), -1)[None]
    moved = F.grid_sample(F.pad(face, [1] * 4, value=float("nan")), grid * SIDE / (SIDE + 2), align_corners=False)
    inside = (grid.abs() < 1).all(-1)[:, None] & moved.isfinite()
    return torch.where(inside, moved.nan_to_num(), canvas)[0].permute(1, 2, 0).numpy()


def frames_of(places: Sequence[tuple[float, float]], *, noise: float = 0.0, seed: int = 0) -> list[np.ndarray]:
    """uint8 frames with the face at each of `places`, and noise of that deviation (of 255), new in every frame."""
    random = np.random.default_rng(seed)
    pictures = (scene(left, top) * 255 for left, top in places)
    return [np.clip(np.rint(p + noise * random.standard_normal(p.shape)), 0, 255).astype(np.uint8) for p in pictures]


class KnownFaces:
    """A detector that knows where the faces are, frame by frame, and errs by `jitter` pixels, alike in every run."""

    def __init__(self, places: Sequence[Sequence[tuple[float, float]]], jitter: float = 0.0, start: int = 0) -> None:
        self.places, self.jitter, self.next = places, jitter, start

    def __call__(self, pictures: torch.Tensor) -> list:
        found = []
        for _ in pictures:
            faces = []
            for left, top in self.places[self.next]:
                random = np.random.default_rng((self.next, int(left * 100)))
                face = face_at(left, top, SIDE)
                error = torch.from_numpy(self.jitter * random.standard_normal((5, 2))).float()
                faces.append(type(face)(box=face.box, landmarks=face.landmarks + error, score=face.score))
            found.append(faces)
            self.next += 1
        return found


class Sharpener:
    """A network stand-in that makes noise worse, as restorers do: unsharp masking."""

    def __init__(self, size: int = 32, amount: float = 1.0) -> None:
        self.config = GPENConfig.standard(size, narrow=1 / 32)
        self.card = ModelCard(name="sharpener")
        self.amount = amount

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.amount * (x - F.avg_pool2d(F.pad(x, [1] * 4, mode="reflect"), 3, 1))


def write_film(
    path: Path,
    frames: Sequence[np.ndarray],
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    rate: int = 25,
    times: Sequence[int] | None = None,
    sound: bool = False,
    hidden: int = 0,
    options: dict[str, str] | None = None,
) -> Path:
    """A film of RGB frames. times: of each frame in milliseconds, for a variable rate; sound: a second track.
    hidden: so many of the first frames lie before the film's beginning, where an MP4's edit list cuts them away.
    """
    with av.open(str(path), "w") as container:
        # With its slower presets x264 gives other samples of frames as small as these from run to run.
        usual = {"crf": "4", "preset": "ultrafast"} if codec == "libx264" else {}
        stream = container.add_stream(codec, rate=rate, options=options or usual)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixel_format
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        voice = container.add_stream("aac", rate=16000, layout="mono") if sound else None
        for index, pixels in enumerate(frames):
            kind = "rgb48le" if pixels.dtype == np.uint16 else "rgb24"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=kind)
            if times is not None:
                frame.pts, frame.time_base = times[index], stream.codec_context.time_base
            elif hidden:
                frame.pts, frame.time_base = index - hidden, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if voice is not None:
            samples = np.sin(np.arange(16000 * len(frames) // rate) * 0.2).astype(np.float32)
            for start in range(0, len(samples) - 1024, 1024):
                sound_frame = av.AudioFrame.from_ndarray(
                    samples[None, start : start + 1024], format="fltp", layout="mono"
                )
                sound_frame.sample_rate, sound_frame.pts = 16000, start
                container.mux(voice.encode(sound_frame))
            container.mux(voice.encode(None))
    return path


def decoded(path: Path) -> tuple[list[np.ndarray], list[float]]:
    """Frames (RGB) and their times in seconds."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [frame.to_ndarray(format="rgb24") for frame in frames], [
        float(frame.pts * frame.time_base) for frame in frames
    ]


def sound_packets(path: Path) -> list[tuple[float, bytes]]:
    """Times in seconds and bytes of the sound."""
    with av.open(str(path)) as container:
        return [(float(p.pts * p.time_base), bytes(p)) for p in container.demux(audio=0) if p.size]
