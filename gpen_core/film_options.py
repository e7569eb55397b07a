"""What a film needs to be told beyond what a photograph does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from .errors import ConfigError
from .fields import by_name, check, option

Decoder = Literal["cpu", "cuda"]

#: Frames that go through the steps together; no less than any reach of the smoothing.
BLOCK = 8


@by_name
@dataclass(frozen=True, kw_only=True)
class Smoothing:
    """How far restored faces are smoothed over time."""

    landmarks: float = option(
        2.5,
        low=0,
        help="Standard deviation, in frames, of the weights with which a parabola is fitted through the landmarks.",
    )
    landmark_reach: int = option(4, low=0, high=16, help="It is fitted through this many frames each way.")
    crops: float = option(
        1.5,
        low=0,
        help="Standard deviation, in frames, of the mean of restored crops, in which what moved takes no part.",
    )
    crop_reach: int = option(2, low=0, high=16, help="The mean is of this many frames each way.")
    longest_gap: int = option(
        3,
        low=0,
        high=16,
        help="Frames in which a face may be missed and is still restored, where its landmarks before and after say.",
    )

    def __post_init__(self) -> None:
        check(self)
        for name in ("landmarks", "crops"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} is {getattr(self, name):g}; expected a number of frames above 0")


@by_name
@dataclass(frozen=True, kw_only=True)
class FilmOptions:
    """How a film is smoothed, encoded and taken up again."""

    smoothing: Smoothing | None = option(Smoothing, help="How faces are smoothed along the film.", none="not at all")
    detect_every: int = option(
        3,
        low=1,
        high=BLOCK - 1,
        form="FRAMES",
        help="The detector looks at one frame in so many, and at those between wherever two looks do not agree, or the "
        "frame shows something else; faces are there on the way from one look to the next. 1 looks at every frame.",
    )
    codec: str | None = option(
        None, help="FFmpeg's name of the encoder.", none="by the output's suffix: libx264, in .webm libvpx-vp9"
    )
    quality: int | None = option(
        None,
        low=0,
        high=51,
        help="Constant rate factor: 0 is lossless, lower is better.",
        none="18, where the encoder can be told",
    )
    decoder: Decoder = option(
        "cpu",
        help="What decodes. cuda: NVIDIA's decoder, which gives the same samples and leaves the processor to the rest.",
    )
    preset: str | None = option(
        None,
        help="Of the encoder, x264's and x265's: ultrafast … veryslow.",
        none="faster, where the encoder has presets",
    )
    segment: int = option(
        240,
        low=BLOCK,
        form="FRAMES",
        help="Frames of a closed segment, a multiple of 8, that a resumed run goes back to.",
    )
    start: float = option(0.0, low=0, form="TIME", help="Restore from this time on only: seconds, or 1:02:03.5.")
    end: float | None = option(None, low=0, form="TIME", help="Restore up to this time only.", none="the film's end")
    resume: bool = option(False, help="Go on after the last finished segment of an interrupted run.")
    overwrite: bool = option(False, help="The result may take the place of its input.")
    allow_truncated: bool = option(False, help="Restore what can be decoded of a damaged film.")

    def __post_init__(self) -> None:
        check(self)
        if self.end is not None and self.end <= self.start:
            raise ConfigError(f"the film is wanted from {self.start:g} to {self.end:g} seconds; expected a later end")
        if self.segment % BLOCK:
            raise ConfigError(f"a segment is {self.segment} frames; expected a multiple of {BLOCK}")
        if self.smoothing is not None:
            farthest = max(self.smoothing.landmark_reach, self.smoothing.crop_reach, self.smoothing.longest_gap)
            if farthest > BLOCK:
                raise ConfigError(f"films are smoothed over at most {BLOCK} frames each way; {farthest} are asked for")
