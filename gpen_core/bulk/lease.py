"""Who writes below an address: object stores have no locks, so a note there says so, and how lately."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..archives import remote
from ..errors import GPENError, InputError
from ..images.damage import guarded

_NAME = "report.parquet.lease"
#: Seconds between two renewals, and those after which a note counts as a killed run's.
_EVERY, _FRESH = 30.0, 120.0


@contextmanager
def leased(address: str) -> Iterator[Lease]:
    """Keeps other runs from an address meanwhile.

    Raises InputError where another run has noted itself there within the last two minutes, PictureError where
    nothing can be read or written.
    """
    lease = Lease(address)
    lease.take()
    stop = threading.Event()

    def renewing() -> None:
        while not stop.wait(_EVERY):
            with contextlib.suppress(GPENError):  # the store may answer the next time
                lease.renew()

    thread = threading.Thread(target=renewing, name="lease", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        stop.set()
        thread.join()
        lease.give_up()


class Lease:
    """The note of one run below `address`: its owner and the time, on which machines are taken to agree to a minute."""

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")
        self._system, self._path = remote(f"{self._address}/{_NAME}")
        self._owner = f"process {os.getpid()} of {socket.gethostname()}, {uuid.uuid4().hex[:8]}"
        self._lost = ""

    def take(self) -> None:
        """Notes this run, where no other is at work."""
        owner, age = self._noted()
        if owner and age < _FRESH:
            raise InputError(
                f"another run ({owner}) writes to {self._address}; wait until it is done, or give this one another "
                f"place; if it was killed, try again in {_FRESH - age:.0f} seconds"
            )
        self._write()
        self.renew()
        self.check()  # of two that began at once, the later one's note stays

    def renew(self) -> None:
        """Notes the time anew, unless another run has taken over."""
        owner, _ = self._noted()
        if owner in ("", self._owner):
            self._write()
        else:
            self._lost = owner

    def check(self) -> None:
        """Raises InputError where another run has taken over, as one may from a machine that slept."""
        if self._lost:
            raise InputError(
                f"another run ({self._lost}) has taken over {self._address}; this one ends, and its results stay"
            )

    def give_up(self) -> None:
        """Removes the note, where it is still this run's."""
        with contextlib.suppress(OSError, GPENError):
            if self._noted()[0] == self._owner:
                self._system.rm_file(self._path)

    def _noted(self) -> tuple[str, float]:
        """(owner, seconds since) of the note that is there; no owner where there is none, or none that can be read."""
        with guarded(f"{self._address} cannot be read"):
            self._system.invalidate_cache()  # others write there
            try:
                noted: Any = json.loads(self._system.cat_file(self._path))
                return str(noted["owner"]), abs(time.time() - float(noted["time"]))
            except (FileNotFoundError, ValueError, KeyError, TypeError):
                return "", 0.0

    def _write(self) -> None:
        note = json.dumps({"owner": self._owner, "time": time.time()})
        with guarded(f"{self._address} cannot be written"):
            self._system.makedirs(self._path.rpartition("/")[0], exist_ok=True)
            self._system.pipe_file(self._path, note.encode())
