"""Archives of pictures on Ray Data: one program on a laptop and on a cluster.

Workers are actors that hold the networks; each takes a block of pictures and does with it what `run_batch` does, so a
result is the same file as `gpen restore` writes. A block's rows are one Parquet file, written when the block is done: a
run that was killed does the blocks that have none.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .batch import BatchOptions, Item, Process, run_batch
from .batch.journal import stamp
from .errors import InputError, MissingPackageError
from .files import replacing, sweep
from .report import PictureReport

PARTS, REPORT = "report.parts", "report.parquet"
_SETTINGS = b"gpen.settings"

Build = Callable[[], tuple[Process, BatchOptions]]
"""Called by every worker once: what is done to pictures, and how they are read and written."""


@dataclass(frozen=True, kw_only=True)
class Workers:
    """How many actors, what Ray reserves for each (of a GPU also a share), and the pictures that one takes at once."""

    count: int = 1
    cpus: float = 1.0
    gpus: float = 0.0
    block: int = 16

    def __post_init__(self) -> None:
        if self.count < 1 or self.block < 1 or self.cpus < 0 or self.gpus < 0:
            raise InputError(f"workers are {self}; count and block must be at least 1, cpus and gpus at least 0")


@dataclass(frozen=True, kw_only=True)
class BulkSummary:
    """How a run ended. skipped: pictures that an earlier run had done."""

    done: int
    skipped: int
    faces: int
    failed: tuple[str, ...]


def restore_archive(
    items: Sequence[Item],
    build: Build,
    out: Path,
    workers: Workers,
    *,
    settings: Mapping[str, Any],
    finished: Callable[[Mapping[str, Any]], None] | None = None,
) -> BulkSummary:
    """Does every item that no earlier run into `out` has done, and writes OUT/report.parquet, a row for every face.

    A picture that fails is a row that says why. settings: JSON values, what the results depend on. finished: told the
    row of every picture, in no order. Raises InputError where `out` holds results of other settings,
    MissingPackageError without Ray.
    """
    parts = out / PARTS
    parts.mkdir(parents=True, exist_ok=True)
    sweep(parts)
    wanted = json.dumps(settings, sort_keys=True)
    before = _rows(parts, wanted)
    todo = [item for item in items if not _is_done(before.get(str(item.source)), item)]
    ray = _ray(workers)
    if todo:
        rows = [{"source": str(item.source), "target": str(item.target)} for item in todo]
        blocks = -(-len(rows) // workers.block)
        work = ray.data.from_items(rows, override_num_blocks=blocks).map_batches(
            _Worker,
            fn_constructor_kwargs={"build": build, "parts": parts, "settings": wanted},
            batch_size=workers.block,
            compute=ray.data.ActorPoolStrategy(size=workers.count),
            num_cpus=workers.cpus,
            num_gpus=workers.gpus,
        )
        for row in work.iter_rows():
            if finished is not None:
                finished(row)
    found = _rows(parts, wanted)
    mine = [found[str(item.source)] for item in items if str(item.source) in found]
    _write_faces(out / REPORT, mine)
    failed = tuple(row["reason"] for row in mine if row["status"] == "failed")
    faces = sum(len(json.loads(row["faces"])) for row in mine)
    return BulkSummary(done=len(todo) - len(failed), skipped=len(items) - len(todo), faces=faces, failed=failed)


class _Worker:
    """The networks, in an actor of Ray's."""

    def __init__(self, build: Build, parts: Path, settings: str) -> None:
        self._process, self._options = build()
        self._parts, self._settings = parts, settings

    def __call__(self, block: dict[str, Any]) -> dict[str, Any]:
        """The rows of a block's pictures, which are also on the disk by then."""
        items = [Item(source=Path(s), target=Path(t)) for s, t in zip(block["source"], block["target"], strict=True)]
        reports: list[PictureReport] = []
        with tempfile.TemporaryDirectory() as place:
            options = replace(self._options, report=Path(place) / "report.json", resume=False)
            run_batch(items, self._process, options, finished=reports.append)
        rows = [_row(report) for report in reports]
        _write(self._parts / f"{uuid.uuid4().hex}.parquet", rows, self._settings)
        return {key: [row[key] for row in rows] for key in ("input", "status", "reason", "faces")}


def _row(report: PictureReport) -> dict[str, Any]:
    plain = report.to_dict()
    row = {key: plain[key] for key in ("input", "output", "status", "width", "height")}
    return {
        **row,
        "reason": plain["reason"] or "",
        "source": _stamp(Path(report.input)),
        "result": _stamp(Path(report.output)) if report.output and report.status != "failed" else "",
        "faces": json.dumps(plain["faces"]),
    }


def _stamp(path: Path) -> str:
    return " ".join(map(str, stamp(path) or ()))


def _is_done(row: Mapping[str, Any] | None, item: Item) -> bool:
    """Whether the picture and its result are still those that the row is of."""
    if row is None or row["status"] == "failed" or row["output"] != str(item.target):
        return False
    return bool(row["source"] == _stamp(item.source) and row["result"] == _stamp(item.target) != "")


def _write(path: Path, rows: Sequence[Mapping[str, Any]], settings: str = "") -> None:
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.Table.from_pylist(list(rows))
    if settings:
        table = table.replace_schema_metadata({_SETTINGS: settings.encode()})
    with replacing(path) as temporary:
        parquet.write_table(table, temporary)


def _rows(parts: Path, settings: str) -> dict[str, dict[str, Any]]:
    """Input → its latest row."""
    _ray_data()
    from pyarrow import parquet

    found: dict[str, dict[str, Any]] = {}
    for path in sorted(parts.glob("*.parquet"), key=lambda p: p.stat().st_mtime_ns):
        table = parquet.read_table(path)
        if (table.schema.metadata or {}).get(_SETTINGS, b"").decode() != settings:
            raise InputError(f"{parts.parent} holds results made with other options; give another folder")
        found |= {row["input"]: row for row in table.to_pylist()}
    return found


def _write_faces(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A row for every face, and one for each picture without."""
    written = []
    for row in rows:
        about = {key: row[key] for key in ("input", "output", "status", "reason", "width", "height")}
        faces = json.loads(row["faces"]) or [{}]
        for face in faces:
            box = face.get("box") or [None] * 4
            sides = dict(zip(("left", "top", "right", "bottom"), box, strict=True))
            found = {"face": face.get("index"), "score": face.get("score"), **sides}
            written.append({**about, **found, "about": json.dumps(face)})
    if written:
        _write(path, written)


def _ray_data() -> Any:
    try:
        import ray.data
    except ImportError as error:
        raise MissingPackageError("bulk restoration needs Ray Data; install gpen[ray]") from error
    return ray


def _ray(workers: Workers) -> Any:
    """Ray, joined to the cluster that RAY_ADDRESS names or started here with as many CPUs as the workers take."""
    ray = _ray_data()
    if not ray.is_initialized():
        here = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": max(1, round(workers.count * workers.cpus) + 1)}
        ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR, **here)
    ray.data.DataContext.get_current().enable_progress_bars = False
    return ray
