"""Many pictures: what to do, done in an overlapping, resumable way, and a report of it."""

from .inputs import Item, collect
from .journal import Journal
from .run import BatchOptions, BatchSummary, run_batch

__all__ = ["BatchOptions", "BatchSummary", "Item", "Journal", "collect", "run_batch"]
