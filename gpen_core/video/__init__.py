"""Films: read, followed face by face, restored, smoothed over time, written."""

from ..film_options import FilmOptions, Smoothing
from .film import FilmProgress, FilmReport, TrackReport, restore_film
from .moments import restore_frames

__all__ = [
    "FilmOptions",
    "FilmProgress",
    "FilmReport",
    "Smoothing",
    "TrackReport",
    "restore_film",
    "restore_frames",
]
