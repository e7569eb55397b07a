"""What an interrupted film leaves behind, so that the work goes on at the last finished segment.

A folder beside the output holds the finished segments, the state that the next one begins with, and at the very end
the journal: the report, and what the finished film looks like. The order is fixed: journal, film, report, and only
then the folder goes; so at whatever point a run is killed, the next one knows what is there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from ..batch.journal import changes
from ..errors import InputError, PictureError
from ..files import shortened
from ..images.writing import whole_file
from .plot import track_plot
from .report import FilmReport, write_json

_FORMAT = 1


@dataclass(kw_only=True)
class Segments:
    """The folder beside the output that holds finished segments and what the next one begins with.

    settings: all that the frames depend on, as JSON values; work begun with others is not gone on with. report: where
    the finished film's report goes, which then is its journal; None: nowhere. notes: what was found damaged.
    """

    output: Path
    settings: Mapping[str, Any]
    report: Path | None = None
    finished: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The folder that belongs to `output`."""
        return self.output.with_name(f".{shortened(self.output.name, less=10)}.segments")

    def begin(self) -> None:
        """An empty folder. Raises PictureError where it cannot be made."""
        shutil.rmtree(self.folder, ignore_errors=True)
        try:
            self.folder.mkdir(parents=True)
        except OSError as error:
            raise PictureError(f"{self.folder} cannot be made: {error.strerror}") from error

    def next_path(self) -> Path:
        """Where the segment under way is written."""
        return self.folder / f"{len(self.finished):06}.nut.part"

    def finish(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Declares the segment under way finished, with the state that the next one begins with.

        The state is there before the segment has its name: only named segments count.
        """
        number = len(self.finished)
        values = {"format": _FORMAT, "settings": self.settings, **values}
        with whole_file(self._state_path(number)) as file:
            file.write(save({k: v.contiguous().clone() for k, v in tensors.items()}, {"state": json.dumps(values)}))
            file.flush()
            os.fsync(file.fileno())
        path = self.folder / f"{number:06}.nut"
        os.replace(self.next_path(), path)
        self.finished.append(path)
        if number:
            self._state_path(number - 1).unlink(missing_ok=True)

    def take_up(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The state after the last finished segment, None where nothing is finished or what is there is damaged.

        Raises InputError where the segments come from another film or other settings.
        """
        self.finished = []
        while (path := self.folder / f"{len(self.finished):06}.nut").exists():
            self.finished.append(path)
        if not self.finished:
            return None
        state = _read(self._state_path(len(self.finished) - 1))
        if state is None:
            self.notes.append(f"what an earlier run left in {self.folder} is damaged; the film was begun anew")
            self.finished = []
            return None
        self._refuse_other_settings(state[1]["settings"], self.folder)
        return state

    def seal(self, film: Path, report: FilmReport) -> None:
        """Notes that `film`, still under its temporary name, is all there; to be called before it gets its own."""
        write_json(self._journal_path, self._sealed(film, report))

    def conclude(self) -> FilmReport | None:
        """The report of the film, None where `output` is not what these settings gave.

        Writes the report to its place and removes the folder: also after a kill in the middle of it. Raises InputError
        where the output was made with other settings.
        """
        sealed = _read_json(self._journal_path)
        if sealed is None and self.folder.exists() and any(self.folder.glob("*.nut")):
            return None  # Under way; an older report says nothing of it.
        sealed = sealed or (_read_json(self.report) if self.report is not None else None)
        try:
            journal = sealed.pop("journal") if sealed is not None else None
            if sealed is None or journal is None or not self.output.exists():
                return None
            if journal["film"] != fingerprint(self.output):
                return None
            report, settings = FilmReport.from_dict(sealed), dict(journal["settings"])
        except (KeyError, TypeError, ValueError, AttributeError):
            return None
        self._refuse_other_settings(settings, self.output)
        if self.report is not None:
            _write_report(self.report, report, journal)
        self.remove()
        return report

    def remove(self) -> None:
        """Deletes the folder, the journal last."""
        for path in [*self.folder.glob("*.nut*"), *self.folder.glob("*.safetensors"), *self.folder.glob(".*.part")]:
            path.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _sealed(self, film: Path, report: FilmReport) -> dict[str, Any]:
        return {**report.to_dict(), "journal": {"settings": self.settings, "film": fingerprint(film)}}

    def _refuse_other_settings(self, theirs: Mapping[str, Any], where: Path) -> None:
        ours = json.loads(json.dumps(self.settings))
        if theirs != ours:
            raise InputError(
                f"{where} was begun with other settings ({changes(theirs, ours)}); give the same, or start anew "
                "without resume (--resume)"
            )

    @property
    def _journal_path(self) -> Path:
        return self.folder / "journal.json"

    def _state_path(self, number: int) -> Path:
        return self.folder / f"{number:06}.safetensors"


def _write_report(path: Path, report: FilmReport, journal: Mapping[str, Any]) -> None:
    """Writes the report, and beside it, as .svg, the plot of its tracks."""
    with whole_file(path.with_suffix(".svg")) as file:
        file.write(track_plot(report).encode())
    write_json(path, {**report.to_dict(), "journal": journal})


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors and values of a state; None where the file is damaged, or of another version."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            values = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 — no mapping
        return (tensors, values) if values["format"] == _FORMAT else None
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None


def fingerprint(path: Path) -> str:
    """Of a file's size and its first and last megabyte: tells one film from another without reading all of it."""
    digest = hashlib.sha256(str(path.stat().st_size).encode())
    with path.open("rb") as file:
        digest.update(file.read(1 << 20))
        file.seek(max(0, path.stat().st_size - (1 << 20)))
        digest.update(file.read(1 << 20))
    return digest.hexdigest()
