"""What each page that is open has at work, and what it made last."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Visitors:
    """Of each page, by its name: a folder for its results, and whether it wants to stop."""

    def __init__(self) -> None:
        self._root = tempfile.TemporaryDirectory(prefix="gpen-app-")
        self._stops: dict[str, threading.Event] = {}

    def ask(self, page: str) -> None:
        """Notes that this page waits for its turn; what it had at work ends."""
        self.stop(page)
        self._stops[page] = threading.Event()

    @contextmanager
    def working(self, page: str) -> Iterator[tuple[Path, threading.Event]]:
        """A new folder, and what tells to stop. What was made before it is removed once this is done, and stays where
        this fails.
        """
        stop = self._stops.setdefault(page, threading.Event())
        results = Path(self._root.name, page)
        results.mkdir(exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=results))
        try:
            yield folder, stop
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            if self._stops.get(page) is stop:
                del self._stops[page]
        for before in set(results.glob("*")) - {folder}:
            shutil.rmtree(before, ignore_errors=True)

    def stop(self, page: str) -> bool:
        """Whether this page waited for something, or had it at work; that ends."""
        stop = self._stops.pop(page, None)
        if stop is not None:
            stop.set()
        return stop is not None

    def forget(self, page: str) -> None:
        """Ends what this page has at work, and removes what it made."""
        self.stop(page)
        shutil.rmtree(Path(self._root.name, page), ignore_errors=True)
