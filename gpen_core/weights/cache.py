"""What is kept on this machine beside the Hub's own cache: converted files, files fetched from plain addresses (with
resume, one process at a time, never seen half-finished), and the hashes of both.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import HubError
from ..files import replacing, sweep

_CHUNK = 1 << 20
_TRIES = 3
_SETTLING = 2_000_000_000  # nanoseconds


def cache_folder() -> Path:
    """The folder `gpen` in the Hub's home (`HF_HOME`, else ~/.cache/huggingface). Nothing is made."""
    from huggingface_hub import constants

    return Path(constants.HF_HOME) / "gpen"


def fetched_folder() -> Path:
    """Where files of no Hub repository are kept."""
    return cache_folder() / "fetched"


def converted_path(sha256: str) -> Path:
    """Where the safetensors made from the file of this content is kept."""
    return cache_folder() / "converted" / f"{sha256}.safetensors"


def sha256_of(path: Path) -> str:
    """The content's hash, remembered beside the cache while the file stays the very same.

    Size and time of change do not tell that: checkpoints of one architecture are equal in size, and copies and
    archives set the time. The file's number and the time of its last change of any kind, which nobody can set, must
    agree too.
    """
    resolved = str(path.resolve())
    record = _record(resolved)
    with path.open("rb") as file:
        known: dict[str, Any] = {"path": resolved, **_marks(file)}
        with contextlib.suppress(OSError, ValueError):
            remembered = json.loads(record.read_text(encoding="utf-8"))
            if isinstance(remembered, dict) and all(remembered.get(key) == value for key, value in known.items()):
                return str(remembered["sha256"])
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        # Clocks of file systems are coarse: what changed a moment ago may change again and bear the same time.
        settled = time.time_ns() - known["changed"] > _SETTLING and known == {"path": resolved, **_marks(file)}
    if settled:
        sweep(record.parent)
        # A cache that cannot be written costs only the next look its time.
        with contextlib.suppress(OSError), replacing(record) as temporary:
            temporary.write_text(json.dumps({**known, "sha256": digest.hexdigest()}), encoding="utf-8")
    return digest.hexdigest()


def _marks(file: BinaryIO) -> dict[str, int]:
    """What together changes whenever a file's content does."""
    stat = os.fstat(file.fileno())
    return {
        "size": stat.st_size,
        "time": stat.st_mtime_ns,
        "changed": stat.st_ctime_ns,
        "number": stat.st_ino,
        "device": stat.st_dev,
    }


def forget(path: Path) -> None:
    """Drops what is remembered of this file's content."""
    with contextlib.suppress(OSError):
        _record(str(path.resolve())).unlink()


def _record(resolved: str) -> Path:
    name = hashlib.sha256(resolved.encode()).hexdigest()[:32]
    return cache_folder() / "hashes" / f"{name}.json"


Watch = Callable[[int, "int | None"], None]
"""Told of a download after every chunk: bytes that have come, bytes in all. What it raises ends the download."""


def bar_of(watch: Watch | None) -> Any:
    """A progress bar's class, as huggingface_hub takes it, that tells `watch` too."""
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

    if watch is None:
        return tqdm
    tell: Watch = watch

    class Watched(tqdm):
        def update(self, n: float | None = 1) -> bool | None:
            shown: bool | None = super().update(n)
            tell(int(self.n), None if self.total is None else int(self.total))
            return shown

    return Watched


@contextlib.contextmanager
def silent_client() -> Iterator[None]:
    """Keeps what huggingface_hub says of its tries to itself: what comes of them is said in one line, by us."""

    def let_through(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR or not record.name.startswith("huggingface_hub")

    # On what writes, not by the logger's level: of several threads one would put back what another had set.
    writers = [*logging.getLogger("huggingface_hub").handlers, *logging.getLogger().handlers]
    for writer in writers:
        writer.addFilter(let_through)
    try:
        yield
    finally:
        for writer in writers:
            writer.removeFilter(let_through)


def download(
    url: str, target: Path, *, size: int | None = None, timeout: float = 10, watch: Watch | None = None
) -> Path:
    """`target`, once the file at `url` stands there whole.

    A download that was cut goes on from `target`.part, in this process (a few tries) or a later one. size: bytes, if
    known. Raises HubError with one line that says why it failed.
    """
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(target.with_name(target.name + ".lock")):
            if target.is_file():
                return target
            part = target.with_name(target.name + ".part")
            for attempt in range(_TRIES):
                try:
                    _fetch(url, part, size, timeout, bar_of(watch))
                    break
                except (urllib.error.HTTPError, FileNotFoundError, PermissionError):
                    raise
                except (OSError, HTTPException):
                    if attempt == _TRIES - 1 or shutil.disk_usage(target.parent).free < _CHUNK:
                        raise
                    time.sleep(attempt)
            os.replace(part, target)
    except urllib.error.HTTPError as error:
        error.close()
        raise HubError(f"{url} answers {error.code} ({error.reason})") from error
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise HubError(f"{url} cannot be fetched to {target.parent}: {reason}") from error
    return target


def _fetch(url: str, part: Path, size: int | None, timeout: float, bar: Any) -> None:
    """Appends what is missing to `part`; raises OSError when it is still short of the whole."""
    if part.is_symlink():  # planted: a part of ours is a file
        part.unlink()
    here = part.stat().st_size if part.is_file() else 0
    if size is not None and here > size:
        part.unlink()
        here = 0
    if size is not None and here == size:
        return
    request = urllib.request.Request(url, headers={"User-Agent": "gpen", "Accept-Encoding": "identity"})
    if here:
        request.add_header("Range", f"bytes={here}-")
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            # The part is longer than the file, or is all of it: there is no telling, so begin again.
            part.unlink()
            raise OSError("the server has nothing beyond the part that is here") from error
        raise
    with response:
        resumed = response.status == 206
        start = here if resumed else 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isascii() and length.isdigit() else size
        _copy(response, part, start, total, bar)
    got = part.stat().st_size
    if total is not None and got < total:
        raise OSError(f"the connection was cut after {got} of {total} bytes")
    if size is not None and got != size:
        part.unlink()
        raise OSError(f"the file has {got} bytes, expected {size}")


def _copy(response: HTTPResponse, part: Path, start: int, total: int | None, bar: Any) -> None:
    if not start:
        part.unlink(missing_ok=True)
    label = part.name.removesuffix(".part")
    with (
        open(part, "r+b" if start else "xb", opener=_opened_itself) as file,
        bar(total=total, initial=start, unit="B", unit_scale=True, desc=label[-40:], name="gpen.download") as shown,
    ):
        file.seek(start)
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            shown.update(len(chunk))


def _opened_itself(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)
