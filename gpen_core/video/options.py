"""What a film needs to be told beyond what a photograph does."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import ConfigError
from .moments import BLOCK
from .smoothing import Smoothing


@dataclass(frozen=True, kw_only=True)
class FilmOptions:
    """How a film is smoothed, encoded and taken up again.

    smoothing: None restores every frame by itself. codec: FFmpeg's name; None: by the output's suffix. quality:
    constant rate factor, lower is better. preset: x264's and x265's. segment: frames of a closed segment, a multiple
    of 8. resume: go on after the last finished segment of an interrupted run. allow_truncated: restore what can be
    decoded of a damaged film.
    """

    smoothing: Smoothing | None = field(default_factory=Smoothing)
    codec: str | None = None
    quality: int = 18
    preset: str = "medium"
    segment: int = 240
    resume: bool = False
    overwrite: bool = False
    allow_truncated: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.quality <= 51:
            raise ConfigError(f"quality is {self.quality}; expected 0 (lossless) to 51, 18 is usual")
        if self.segment < BLOCK or self.segment % BLOCK:
            raise ConfigError(f"a segment is {self.segment} frames; expected a multiple of {BLOCK}")
        if self.smoothing is not None:
            farthest = max(self.smoothing.landmark_reach, self.smoothing.crop_reach, self.smoothing.longest_gap)
            if farthest > BLOCK:
                raise ConfigError(f"films are smoothed over at most {BLOCK} frames each way; {farthest} are asked for")
