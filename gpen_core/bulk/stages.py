"""The three stages of a run on Ray Data, each a function or an actor over tables of one column: what it is given of
each picture, pickled. So a picture of any size, depth and kind travels as it is.
"""

from __future__ import annotations

import io
import pickle
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from ..archives import is_address, remote, without_query
from ..batch import BatchOptions, Item
from ..batch.journal import Key, Stamp, stamp
from ..batch.results import Processed
from ..batch.steps import Decoded, Process, decode, processed, write
from ..errors import GPENError, PictureError
from ..images.damage import guarded
from ..report import PictureReport
from .inputs import ArchiveItem
from .tries import MOST, Tries, TriesAfar, Watch

COLUMN = "picture"
#: In a picture's place, where networks are loaded.
_LOADED: Key = ("networks", None)


@dataclass(frozen=True, kw_only=True)
class Carried:
    """A picture on its way. data: the bytes of one that is no file of its own here; stamp: of what was read."""

    item: ArchiveItem
    decoded: Decoded
    stamp: Stamp
    data: bytes | None = None
    result: Processed | GPENError | None = None
    seconds: float = 0.0

    @property
    def key(self) -> Key:
        """The item's."""
        return self.item.key


@dataclass(frozen=True, kw_only=True)
class Done:
    """The end of it. stamps: of input and result. fatal: why the run cannot go on."""

    report: PictureReport
    stamps: tuple[Stamp, Stamp]
    fatal: str = ""


class Reader:
    """Items → pictures."""

    def __init__(self, options: BatchOptions, tries: Tries | TriesAfar) -> None:
        self._options, self._watch = options, Watch("being read", tries)

    def __call__(self, table: Any) -> Iterator[Any]:
        """One table for each picture."""
        for items, given_up in self._watch.parts(unpacked(table)):
            for item in items:
                fault = self._watch.said(item.source) if given_up else item.fault
                yield packed([self._faulty(item, fault) if fault else self._read(item)])

    def _faulty(self, item: ArchiveItem, fault: str) -> Carried:
        nothing = Item(source=Path(), target=Path())
        decoded = Decoded(item=nothing, picture=None, error=PictureError(fault), seconds=0.0)
        return Carried(item=item, decoded=decoded, stamp=item.stamp)

    def _read(self, item: ArchiveItem) -> Carried:
        if item.is_file:
            file = Path(item.source)
            found = item.stamp or stamp(file)
            decoded = decode(Item(source=file, target=Path()), self._options)
            return Carried(item=item, decoded=decoded, stamp=found)
        try:
            with guarded(f"{item.source} cannot be fetched"):
                data = item.entry.read()
        except GPENError as error:
            return self._faulty(item, str(error))
        with tempfile.TemporaryDirectory() as place:
            file = _local(item, data, place)
            decoded = decode(Item(source=file, target=Path()), self._options)
        if decoded.error is not None:
            decoded = replace(decoded, error=PictureError(str(decoded.error).replace(str(file), item.source)))
        if decoded.picture is not None:
            # Masks are found by it, folders and all.
            decoded = replace(decoded, picture=replace(decoded.picture, path=Path(_named(item))))
        return Carried(item=item, decoded=decoded, data=data, stamp=item.stamp or [len(data)])


class Networks:
    """Pictures → results whose faces are yet to be pasted; an actor, whose networks are loaded once.

    workers: how many load them at a time. Raises GPENError where loading them ended so many of these, again and again.
    """

    def __init__(self, build: Any, tries: Tries | TriesAfar, workers: int = 1) -> None:
        (before,) = tries.begin("being loaded", [_LOADED])
        if before >= MOST * workers:
            raise GPENError(
                f"{before} workers ended while they loaded the networks: there is less memory than they take, or a "
                "file of weights is damaged; take fewer (--workers), and try `gpen restore` with one picture"
            )
        self._process: Process = build()
        tries.end("being loaded", [_LOADED])
        self._watch = Watch("being restored", tries)

    def __call__(self, table: Any) -> Iterator[Any]:
        """One table for each picture; those of a table share batches of faces."""
        carrieds: list[Carried] = unpacked(table)
        for group, given_up in self._watch.parts(carrieds):
            if given_up:
                fault = PictureError(self._watch.said(group[0].item.source))
                yield packed([replace(group[0], result=fault)])
                continue
            done = processed([carried.decoded for carried in group], self._process)
            for carried, (_, result, seconds) in zip(group, done, strict=True):
                told = PictureError(str(result)) if isinstance(result, GPENError) else result
                yield packed([replace(carried, result=told, seconds=seconds)])


class Writer:
    """Results → files, and what became of each picture."""

    def __init__(self, options: BatchOptions, tries: Tries | TriesAfar) -> None:
        self._options, self._watch = options, Watch("being written", tries)

    def __call__(self, table: Any) -> Iterator[Any]:
        """One table for each picture, whose file has its final name by then."""
        carrieds: list[Carried] = unpacked(table)
        for group, given_up in self._watch.parts(carrieds):
            for carried in group:
                fault = PictureError(self._watch.said(carried.item.source)) if given_up else None
                yield packed([self._written(replace(carried, result=fault or carried.result))])

    def _written(self, carried: Carried) -> Done:
        item = carried.item
        far = is_address(item.target)
        with ExitStack() as stack:
            place = stack.enter_context(tempfile.TemporaryDirectory()) if far or carried.data is not None else ""
            source = Path(item.source) if carried.data is None else _local(item, carried.data, place)
            target = Path(place, "result", PurePosixPath(item.target).name) if far else Path(item.target)
            decoded = replace(carried.decoded, item=Item(source=source, target=target))
            result = carried.result or PictureError(f"{item.source} came without a result")
            fatal = ""
            try:
                report = write(decoded, result, carried.seconds, self._options)
                if far and report.status != "failed":
                    with guarded(f"{item.target} cannot be written"):
                        system, path = remote(item.target)
                        system.makedirs(path.rpartition("/")[0], exist_ok=True)
                        system.put_file(str(target), path)
            except (GPENError, OSError) as error:
                report = PictureReport(input=item.source, status="failed", reason=str(error))
                fatal = str(error) if not far else ""
            size = target.stat().st_size if report.status != "failed" else 0
        words = {name: item.source for name in (str(source),) if name != item.source}
        words |= {str(target): item.target} if far else {}
        report = replace(
            report,
            input=item.source,
            output=item.target if report.status != "failed" else None,
            reason=report.reason and _said(report.reason, words),
            notes=tuple(_said(note, words) for note in report.notes),
        )
        result_stamp = None if report.status == "failed" else [size]
        return Done(report=report, stamps=(carried.stamp, result_stamp), fatal=fatal)


def _said(text: str, words: dict[str, str]) -> str:
    for ours, theirs in words.items():
        text = text.replace(ours, theirs)
    return text


def _local(item: ArchiveItem, data: bytes, place: str) -> Path:
    """A file that holds `data`, of the picture's own name."""
    file = Path(place, PurePosixPath(_named(item)).name)
    file.write_bytes(data)
    return file


def _named(item: ArchiveItem) -> str:
    """Its path or address; of a member of an archive on the web, with what follows the query."""
    return item.source if item.entry.length is not None else without_query(item.source)


def _fixed(values: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(values)


class _Pickler(pickle.Pickler):
    """Tensors as arrays: of a view only what it shows, and nothing of a device. Options' mappings as what they hold."""

    def reducer_override(self, value: Any) -> Any:
        """How one of these is made again; NotImplemented for all else."""
        if isinstance(value, MappingProxyType):
            return _fixed, (dict(value),)
        if type(value) is Tensor and value.dtype != torch.bfloat16:
            return torch.from_numpy, (value.detach().cpu().contiguous().numpy(),)
        return NotImplemented


def packed(values: Iterable[Any]) -> Any:
    """A table of `values`."""
    import pyarrow

    rows = []
    for value in values:
        buffer = io.BytesIO()
        _Pickler(buffer, protocol=5).dump(value)
        rows.append(buffer.getvalue())  # a copy: of what is given as a view, pyarrow 26 lets go of nothing
    # Columns of ordinary binary end at 2 GB.
    return pyarrow.table({COLUMN: pyarrow.array(rows, pyarrow.large_binary())})


def unpacked(table: Any) -> list[Any]:
    """The values of a table."""
    return [pickle.loads(value.as_buffer()) for value in table.column(COLUMN)]
