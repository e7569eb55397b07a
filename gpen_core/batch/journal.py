"""What has been done so far, one line of JSON a picture, so that a killed run can go on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from ..errors import ConfigError, PictureError
from ..images.writing import replacing
from ..report import PictureReport, write_report


class Journal:
    """The rows of a run under way, in `<report>.part`: appended as each picture is finished, turned into `report` at
    the end.

    settings: everything that a result depends on; a run is resumed only with the same. resume False forgets an
    earlier run.
    A line cut short by a kill does not count: its picture is done again.
    Raises ConfigError when `resume` is asked with other settings than the earlier run's.
    """

    def __init__(self, report: Path, settings: Mapping[str, Any], *, resume: bool) -> None:
        self.report = report
        self.path = report.with_name(report.name + ".part")
        self._settings = json.loads(json.dumps(settings))
        self._file: IO[bytes] | None = None
        earlier = list(self._earlier()) if resume else []
        if earlier:
            self._refuse_other_settings(earlier[0])
        self.done: dict[str, dict[str, Any]] = {row["input"]: row for row in earlier[1:] if self._still_valid(row)}
        with replacing(self.path) as file:
            for row in ({"settings": self._settings}, *self.done.values()):
                file.write(_line(row))
        self._file = self.path.open("ab")

    def _earlier(self) -> Iterator[dict[str, Any]]:
        """Settings, then rows, of the run that was cut short, or else of the finished one."""
        if self.path.exists():
            with self.path.open("rb") as file:
                for line in file:
                    if not line.endswith(b"\n"):
                        return
                    try:
                        yield json.loads(line)
                    except ValueError:
                        return
        elif self.report.exists():
            try:
                finished = json.loads(self.report.read_bytes())
                rows = [{"settings": finished["settings"]}, *finished["pictures"]]
            except (ValueError, KeyError, TypeError):
                return
            yield from rows

    def _refuse_other_settings(self, header: Mapping[str, Any]) -> None:
        theirs, ours = _flat(header.get("settings", {})), _flat(self._settings)
        names = sorted(name for name in {*theirs, *ours} if theirs.get(name) != ours.get(name))
        if names:
            changes = "; ".join(f"{name} was {theirs.get(name)!r}, now {ours.get(name)!r}" for name in names[:3])
            raise ConfigError(
                f"the run of {self.report} had other settings ({changes}); "
                "resume with the same, or start anew without --resume"
            )

    @staticmethod
    def _still_valid(row: Mapping[str, Any]) -> bool:
        """A picture counts as done when it did not fail, its result is there, and its file is the one that was read."""
        output = row.get("output")
        if row.get("status") == "failed" or not output or not Path(output).exists():
            return False
        return row.get("file") == fingerprint(Path(row["input"]))

    def add(self, report: PictureReport) -> None:
        """Notes that a picture is finished; to be called after its result has its final name."""
        row = {**report.to_dict(), "file": fingerprint(Path(report.input))}
        if self._file is None:
            raise PictureError(f"{self.path} is closed; the run is over")
        try:
            self._file.write(_line(row))
            self._file.flush()
        except OSError as error:
            raise PictureError(f"{self.path} cannot be written: {error.strerror}") from error

    def finish(self) -> None:
        """Writes report.json from the lines and removes them."""
        self.close()

        def rows() -> Iterator[dict[str, Any]]:
            with self.path.open("rb") as file:
                next(file)
                yield from map(json.loads, file)

        write_report(self.report, rows(), self._settings)
        self.path.unlink()

    def close(self) -> None:
        """Lets go of the file; what was noted stays for a resume."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted names."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat.update(_flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value})
    return flat


def _line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False).encode() + b"\n"


def fingerprint(path: Path) -> list[int] | None:
    """Size and time of change of a file, None when it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]
