"""Faces with maps of their regions: what a network learns from that makes a face from a map."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor

from ..archives import Entry
from ..errors import FaceError, PictureError, TrainingError
from ..faces.palette import mirror_labels, paint, picture_labels, resize_labels
from ..images.reading import decode_picture
from .folder import FaceFolder

#: Maps that are decoded and checked at the start; of all others it is looked only whether they are there.
_CHECKED = 1000


class MappedFaces:
    """The faces of a folder, each with its map: `root`/<the face's path below its folder, with the suffix .png>.

    A map is square, of any size, in the palette's colours or grey with labels as values (see `picture_labels`).
    Raises TrainingError where a map is missing or is none, naming it.
    """

    def __init__(self, faces: FaceFolder, root: str | Path) -> None:
        self.root, self._faces, self.size, self.weights = Path(root), faces, faces.size, faces.weights
        if not self.root.is_dir():
            raise TrainingError(f"{self.root} is not a folder; --maps takes a folder of maps named like the faces")
        missing = [entry.name for entry in faces.entries if not self._path(entry).is_file()]
        if missing:
            raise TrainingError(
                f"{len(missing)} of {len(faces)} faces in {faces.root} have no map in {self.root}; the first is "
                f"{missing[0]}, whose map would be {self._path(missing[0])}"
            )
        for entry in faces.entries[:: -(-len(faces) // _CHECKED)]:
            self._labels(entry)

    @property
    def fingerprint(self) -> str:
        """That of the faces."""
        return self._faces.fingerprint

    def __len__(self) -> int:
        return len(self._faces)

    def load(self, index: int) -> Tensor:
        """Face `index`, as `FaceFolder.load` gives it."""
        return self._faces.load(index)

    def load_pair(self, index: int, *, mirrored: bool) -> tuple[Tensor, Tensor]:
        """(map in the palette's colours, face), both (3, size, size) uint8 RGB; mirrored: both, left as right."""
        face, entry = self._faces.load_with_entry(index)
        labels = resize_labels(self._labels(entry), self.size)
        if mirrored:
            labels, face = mirror_labels(labels), face.flip(-1)
        return torch.from_numpy(np.ascontiguousarray(paint(labels).transpose(2, 0, 1))), face

    def _path(self, entry: Entry | str) -> Path:
        name = entry if isinstance(entry, str) else entry.name
        return self.root / PurePosixPath(name).with_suffix(".png")

    def _labels(self, entry: Entry) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        path = self._path(entry)
        try:
            picture = decode_picture(path.read_bytes(), path, max_pixels=None, allow_truncated=False)
            labels = picture_labels(picture)
        except FaceError as error:
            raise TrainingError(f"the map {path}: {error}") from error
        except (PictureError, OSError) as error:
            raise TrainingError(f"the map {path} cannot be read: {error}") from error
        if labels.shape[0] != labels.shape[1]:
            raise TrainingError(
                f"the map {path} is {labels.shape[1]}×{labels.shape[0]}; it must be square, as its face is"
            )
        return labels
