"""Many pictures: what to do, done in an overlapping, resumable way, and a report of it."""

from .inputs import Item, collect
from .journal import Journal
from .kinds import is_film
from .processes import finding, restoring
from .results import BatchOptions
from .run import BatchSummary, run_batch
from .steps import Process

__all__ = [
    "BatchOptions",
    "BatchSummary",
    "Item",
    "Journal",
    "Process",
    "collect",
    "finding",
    "is_film",
    "restoring",
    "run_batch",
]
