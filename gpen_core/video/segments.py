"""What an interrupted film leaves behind, so that the work goes on at the last finished segment."""

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

from ..errors import InputError, PictureError
from ..images.writing import replacing

_FORMAT = 1


@dataclass(kw_only=True)
class Segments:
    """The folder beside the output that holds finished segments and what the next one begins with.

    settings: all that the frames depend on, as JSON values; work begun with others is not gone on with.
    """

    folder: Path
    settings: Mapping[str, Any]
    finished: list[Path] = field(default_factory=list)

    @classmethod
    def beside(cls, output: Path, settings: Mapping[str, Any]) -> Segments:
        """The folder that belongs to `output`."""
        return cls(folder=output.with_name(f".{output.name}.segments"), settings=settings)

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
        with replacing(self._state_path(number)) as file:
            file.write(save({k: v.contiguous().clone() for k, v in tensors.items()}, {"state": json.dumps(values)}))
            os.fsync(file.fileno())
        path = self.folder / f"{number:06}.nut"
        os.replace(self.next_path(), path)
        self.finished.append(path)
        if number:
            self._state_path(number - 1).unlink(missing_ok=True)

    def take_up(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The state after the last finished segment, None where nothing is finished.

        Raises InputError where the segments come from another film or other settings.
        """
        self.finished = []
        while (path := self.folder / f"{len(self.finished):06}.nut").exists():
            self.finished.append(path)
        if not self.finished:
            return None
        tensors, values = _read(self._state_path(len(self.finished) - 1))
        theirs = values["settings"]
        ours = json.loads(json.dumps(self.settings))
        if theirs != ours:
            different = sorted(k for k in {*theirs, *ours} if theirs.get(k) != ours.get(k))
            raise InputError(
                f"{self.folder} was begun with another {', '.join(different)}; give the same, or start anew without "
                "resume (--resume)"
            )
        return tensors, values

    def remove(self) -> None:
        """Deletes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _state_path(self, number: int) -> Path:
        return self.folder / f"{number:06}.safetensors"


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            values = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 — no mapping
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); start anew without resume (--resume)") from error
    if values.get("format") != _FORMAT:
        raise InputError(f"{path} is of another version; start anew without resume (--resume)")
    return tensors, values


def fingerprint(path: Path) -> str:
    """Of a file's size and its first and last megabyte: tells one film from another without reading all of it."""
    digest = hashlib.sha256(str(path.stat().st_size).encode())
    with path.open("rb") as file:
        digest.update(file.read(1 << 20))
        file.seek(max(0, path.stat().st_size - (1 << 20)))
        digest.update(file.read(1 << 20))
    return digest.hexdigest()
