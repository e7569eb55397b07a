"""What has been done so far, one line of JSON a picture, so that a killed run can go on."""

from __future__ import annotations

import json
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol, get_args

from ..errors import ConfigError, PictureError
from ..files import json_lines
from ..images.writing import whole_file
from ..report import PictureReport, Status, as_line, write_report

Key = tuple[str, int | None]
#: Size and time of change of a file (or what tells its versions apart elsewhere); None where it is gone.
Stamp = list[int] | None
#: Settings of what is written beside results: a run may go on without it, not with it anew.
BESIDE = ("compare", "save_faces")
#: Of a setting's value, this many characters are shown.
_LONGEST = 120


class Task(Protocol):
    """One picture to do: `Item` is one."""

    @property
    def key(self) -> Key:
        """What tells it from all others of a run: its input as reports name it, and the page."""

    @property
    def target(self) -> Path | str:
        """Where the result goes."""


def stamp(path: str | Path) -> Stamp:
    """Size and time of change of a file, None when it is gone."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return [status.st_size, status.st_mtime_ns]


class Journal:
    """The rows of a run under way, in `<report>.part`: appended as each picture is finished, turned into `report` at
    the end, in the order of `items`.

    settings: everything that a result depends on; a run is resumed only with the same. resume False forgets an
    earlier run; rows of its results elsewhere, of results that are gone or cut short, and of inputs that have changed
    do not count either. A line cut short by a kill does not count: its picture is done again. A journal that cannot be
    read is a fresh start, and a warning says so. stamp: of an input or result, by the name that rows have of it.
    done: of what an earlier run has done. anew: how a run with other settings may start, for messages.
    Raises ConfigError when `resume` is asked with other settings than the earlier run's.
    """

    def __init__(
        self,
        report: Path,
        settings: Mapping[str, Any],
        items: Sequence[Task] = (),
        *,
        resume: bool,
        stamp: Callable[[str], Stamp] = stamp,
        anew: str = "in another folder, or without --resume",
    ) -> None:
        self.report = report
        self.path = report.with_name(report.name + ".part")
        self._settings = json.loads(json.dumps(settings))
        self._items = items
        self._order = {item.key: index for index, item in enumerate(items)}
        self._stamp, self._anew = stamp, anew
        self._file: IO[bytes] | None = None
        self._writing = threading.Lock()
        self.done: set[Key] = set()
        earlier = self._earlier() if resume else iter(())
        header = next(earlier, None)
        if header is not None:
            self._refuse_other_settings(header)
        with whole_file(self.path) as file:
            file.write(as_line({"settings": self._settings}) + b"\n")
            for row in earlier:
                if self._still_valid(row):
                    file.write(as_line(row) + b"\n")
                    self.done.add(_key(row))
        self._file = self.path.open("ab")

    def _earlier(self) -> Iterator[Mapping[str, Any]]:
        """Settings, then rows, of the run that was cut short, or else of the finished one."""
        if self.path.exists():
            where, rows = self.path, _lines(self.path)
        elif self.report.exists():
            where, rows = self.report, iter(_rows_of_report(self.report.read_bytes()))
        else:
            return
        header = next(rows, None)
        if not (isinstance(header, Mapping) and isinstance(header.get("settings"), Mapping)):
            warnings.warn(f"{where} is damaged and cannot be gone on from; every picture is done anew", stacklevel=4)
            return
        yield header
        damaged = False
        for row in rows:
            if _is_row(row):
                yield row
            else:
                damaged = True
        if damaged:
            warnings.warn(f"{where} is damaged in places; those pictures are done again", stacklevel=4)

    def _refuse_other_settings(self, header: Mapping[str, Any]) -> None:
        if said := changes(header["settings"], self._settings, may_lack=BESIDE):
            raise ConfigError(
                f"the run of {self.report} had other settings ({said}); "
                f"resume with the same, or start anew: {self._anew}"
            )

    def _still_valid(self, row: Mapping[str, Any]) -> bool:
        """A picture counts as done when it did not fail, its result is where it belongs and as it was written, and its
        file is the one that was read."""
        output = row["output"]
        if row["status"] == "failed" or output is None:
            return False
        place = self._order.get(_key(row))
        if place is not None and os.path.abspath(self._items[place].target) != os.path.abspath(output):
            return False
        there = self._stamp(output)
        if there is None or there[0] == 0 or there[0] != row.get("bytes", there[0]):
            return False
        return bool(row.get("file") == self._stamp(row["input"]))

    def add(self, report: PictureReport, stamps: tuple[Stamp, Stamp] | None = None) -> None:
        """Notes that a picture is finished; to be called after its result has its final name.

        stamps: of input and result, where the caller knows them.
        """
        if stamps is None:
            stamps = self._stamp(report.input), self._stamp(report.output) if report.output else None
        self._append(report, *stamps)

    def foresee(self, report: PictureReport, result: Path) -> None:
        """Notes that `result` is about to take the place of the input itself: killed just after, the picture is done;
        just before, its file is not yet the one that this row tells of.
        """
        self._append(report, stamp(result), stamp(result))

    def _append(self, report: PictureReport, file: Stamp, result: Stamp) -> None:
        row = {**report.to_dict(), "file": file, "bytes": None if result is None else result[0]}
        with self._writing:
            if self._file is None:
                raise PictureError(f"{self.path} is closed; the run is over")
            try:
                self._file.write(as_line(row) + b"\n")
                self._file.flush()
            except OSError as error:
                raise PictureError(f"{self.path} cannot be written: {error.strerror}") from error

    def finish(self) -> None:
        """Writes report.json from the lines, the last of each picture, and removes them."""
        write_report(self.report, self.rows(), self._settings)
        self.path.unlink()

    def rows(self) -> Iterator[dict[str, Any]]:
        """The last row of each picture, in the order of `items`; nothing is added from then on."""
        self.close()
        places: dict[Key, int] = {}
        with self.path.open("rb") as file:
            at = len(file.readline())
            for line in file:
                places[_key(json.loads(line))] = at
                at += len(line)
        with self.path.open("rb") as file:
            for key in sorted(places, key=lambda key: (self._order.get(key, -1), places[key])):
                file.seek(places[key])
                yield json.loads(file.readline())

    def close(self) -> None:
        """Lets go of the file; what was noted stays for a resume."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _lines(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        yield from json_lines(file)


def _rows_of_report(data: bytes) -> list[Any]:
    try:
        finished = json.loads(data)
        return [{"settings": finished["settings"]}, *finished["pictures"]]
    except (ValueError, KeyError, TypeError):
        return []


def _is_row(row: Any) -> bool:
    """Whether JSON is a row of a report, as far as a resumed run depends on it."""
    return (
        isinstance(row, Mapping)
        and isinstance(row.get("input"), str)
        and isinstance(row.get("output"), str | None)
        and isinstance(row.get("page"), int | None)
        and row.get("status") in get_args(Status)
        and isinstance(row.get("faces"), list)
    )


def _key(row: Mapping[str, Any]) -> Key:
    return row["input"], row.get("page")


def changes(theirs: Mapping[str, Any], ours: Mapping[str, Any], *, may_lack: Sequence[str] = ()) -> str:
    """What differs of an earlier run's settings, three of it at most, with both values; empty where nothing does.

    may_lack: settings that `ours` may be without.
    """
    before, now = _flat(theirs), _flat(ours)
    names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    names = [name for name in names if name in now or name not in may_lack]
    return "; ".join(f"{name} was {_shown(before.get(name))}, now {_shown(now.get(name))}" for name in names[:3])


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted names."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat.update(_flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value})
    return flat
