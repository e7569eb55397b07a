"""Films: read, followed face by face, restored, smoothed over time, written."""

from ..film_options import FilmOptions, Smoothing
from .film import restore_film
from .frames import restore_frames
from .report import FilmProgress, FilmReport, TrackReport

__all__ = [
    "FilmOptions",
    "FilmProgress",
    "FilmReport",
    "Smoothing",
    "TrackReport",
    "restore_film",
    "restore_frames",
]
