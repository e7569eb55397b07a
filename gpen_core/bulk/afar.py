"""Results that go to an object store: what is there, and the journal of the run beside it."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from pathlib import Path

from ..archives import listed, remote
from ..batch.journal import Stamp
from ..images.damage import guarded
from .lease import Lease

_PIECES = "report.parquet.parts"
#: Seconds between two pieces; a run that is killed does again what it did since the last.
_EVERY = 30.0


def sizes_below(address: str) -> dict[str, Stamp]:
    """Address → size of everything below one. Raises InputError where it cannot be read."""
    return {file: [size] for file, _, size in listed(address)}


class Mirror:
    """A journal kept below an address, in pieces: object stores append to nothing.

    report: of the run, on this machine; its journal is fetched at once, so that a run anywhere goes on from it.
    lease: this run's, of the address. Raises PictureError where the store cannot be read or written, InputError where
    another run has taken over.
    """

    def __init__(self, address: str, report: Path, lease: Lease) -> None:
        self._system, self._root = remote(f"{address.rstrip('/')}/{_PIECES}")
        self._address, self._report, self._lease = address.rstrip("/"), report, lease
        self._journal = report.with_name(report.name + ".part")
        self._sent, self._at = 0, time.monotonic()
        with self._reading():
            self._before = sorted(self._system.find(self._root)) if self._system.exists(self._root) else []
        header = b""
        with self._journal.open("wb") as file:
            for piece in self._before:
                with self._reading():
                    content: bytes = self._system.cat_file(piece)
                for line in content.splitlines(keepends=True):
                    # A run that was killed just after it had sent all anew left both.
                    if line.startswith(b'{"settings"'):
                        if header:
                            continue
                        header = line
                    file.write(line)
        if not self._before:
            self._journal.unlink()

    def begin(self) -> None:
        """Sends the journal as it is now, in the place of what was there."""
        self._send()
        with guarded(f"{self._address} cannot be written"):
            for piece in self._before:
                self._system.rm_file(piece)

    def follow(self) -> None:
        """Sends what is new, every now and then."""
        if time.monotonic() - self._at >= _EVERY:
            self._send()

    def finish(self) -> None:
        """Sends what is new, and the report."""
        self._send()
        name = f"{self._address}/{self._report.name}"
        self._put(self._report.read_bytes(), remote(name)[1])

    def _send(self) -> None:
        self._lease.check()
        with self._journal.open("rb") as file:
            file.seek(self._sent)
            new = file.read()
        if new:
            self._put(new, f"{self._root}/{time.time_ns():020d}")
        self._sent, self._at = self._sent + len(new), time.monotonic()

    def _put(self, data: bytes, path: str) -> None:
        with guarded(f"{self._address} cannot be written"):
            self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
            self._system.pipe_file(path, data)

    def _reading(self) -> AbstractContextManager[None]:
        # What reads from afar has errors of any class.
        return guarded(f"{self._address} cannot be read")
