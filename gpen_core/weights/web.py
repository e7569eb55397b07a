"""Files at plain addresses: fetched with resume, one process at a time, and never seen half-finished."""

from __future__ import annotations

import os
import shutil
import time
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from ..errors import HubError

_CHUNK = 1 << 20
_TRIES = 3


def download(url: str, target: Path, *, size: int | None = None, timeout: float = 10) -> Path:
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
                    _fetch(url, part, size, timeout)
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


def _fetch(url: str, part: Path, size: int | None, timeout: float) -> None:
    """Appends what is missing to `part`; raises OSError when it is still short of the whole."""
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
        length = response.headers.get("Content-Length")
        total = size if length is None else start + int(length)
        _copy(response, part, start, total)
    got = part.stat().st_size
    if total is not None and got < total:
        raise OSError(f"the connection was cut after {got} of {total} bytes")
    if size is not None and got != size:
        part.unlink()
        raise OSError(f"the file has {got} bytes, expected {size}")


def _copy(response: HTTPResponse, part: Path, start: int, total: int | None) -> None:
    from huggingface_hub.utils import tqdm  # type: ignore[attr-defined]

    label = part.name.removesuffix(".part")
    with (
        part.open("r+b" if start else "wb") as file,
        tqdm(total=total, initial=start, unit="B", unit_scale=True, desc=label[-40:], name="gpen.download") as bar,  # type: ignore[no-untyped-call]
    ):
        file.seek(start)
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
