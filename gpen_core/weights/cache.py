"""Where converted and fetched files are kept, beside the Hub's own cache, and what is known of their content."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path

from ..files import replacing


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
    """The content's hash, remembered beside the cache until the file's size or time changes."""
    stat = path.stat()
    resolved = str(path.resolve())
    known = {"path": resolved, "size": stat.st_size, "time": stat.st_mtime_ns}
    record = _record(resolved)
    with contextlib.suppress(OSError, ValueError):
        remembered = json.loads(record.read_text(encoding="utf-8"))
        if isinstance(remembered, dict) and all(remembered.get(key) == value for key, value in known.items()):
            return str(remembered["sha256"])
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    # A cache that cannot be written costs only the next look its time.
    with contextlib.suppress(OSError), replacing(record, unique=True) as temporary:
        temporary.write_text(json.dumps({**known, "sha256": digest.hexdigest()}), encoding="utf-8")
    return digest.hexdigest()


def forget(path: Path) -> None:
    """Drops what is remembered of this file's content."""
    with contextlib.suppress(OSError):
        _record(str(path.resolve())).unlink()


def _record(resolved: str) -> Path:
    name = hashlib.sha256(resolved.encode()).hexdigest()[:32]
    return cache_folder() / "hashes" / f"{name}.json"
