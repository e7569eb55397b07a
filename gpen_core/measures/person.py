"""Whose face it is: a person of reference pictures is told from others, by any face-recognition network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import ConfigError, FaceError
from ..images import Picture
from ..restore import FaceRestorer
from ..restore.paste import StrengthOf
from ..restore.result import RestoredFace
from .identity import Identity


class Person:
    """Decides which faces are restored by whose they are.

    who, spared: embeddings (D,) of reference pictures, see `embed_reference`. With `who` only faces that are like one
    of them are restored; those like one of `spared` never are. least: cosine from which on faces are alike;
    None: what `identity` says.
    Raises ConfigError without any reference, and for a `least` beyond -1 … 1.
    """

    def __init__(
        self,
        identity: Identity,
        who: Sequence[Tensor] = (),
        spared: Sequence[Tensor] = (),
        *,
        least: float | None = None,
    ) -> None:
        if not who and not spared:
            raise ConfigError("no reference says whose face is meant; give one of the person, or of who is spared")
        least = identity.alike if least is None else least
        if not -1 <= least <= 1:
            raise ConfigError(
                f"the least likeness is {least:g}; expected a cosine, -1 to 1 ({identity.alike:g} is usual)"
            )
        self._identity, self._least = identity, least
        self._who, self._spared = (torch.stack(list(part)) if part else None for part in (who, spared))

    def likeness(self, crops: Tensor) -> Tensor:
        """(N,) cosines of crops (N, 3, S, S) to the reference that each is most like, of `who`, else of `spared`."""
        references = self._who if self._who is not None else self._spared
        assert references is not None
        return (self._identity.embeddings(crops) @ references.T).amax(1)

    @property
    def settings(self) -> dict[str, Any]:
        """What its decisions depend on, as JSON values."""
        parts = [b"" if part is None else part.cpu().numpy().tobytes() for part in (self._who, self._spared)]
        return {"least": self._least, "references": [hashlib.sha256(part).hexdigest()[:16] for part in parts]}

    def choosing(self, further: StrengthOf | None = None) -> StrengthOf:
        """For `FaceRestorer.restore_many`: no strength for who is not meant; for others what `further` says."""

        def strength_of(crop: Tensor, restored: Tensor, strength: float) -> float:
            if not self.is_meant(crop[None]):
                return 0.0
            return strength if further is None else further(crop, restored, strength)

        return strength_of

    def is_meant(self, crops: Tensor) -> bool:
        """Whether the one face that all of `crops` (N, 3, S, S) show is to be restored."""
        found = F.normalize(self._identity.embeddings(crops).mean(0), dim=0)
        if self._spared is not None and float((self._spared @ found).max()) >= self._least:
            return False
        return self._who is None or float((self._who @ found).max()) >= self._least

    def figures(self, face: RestoredFace, result: Picture) -> Mapping[str, Any]:
        """Fields of `FaceReport`: likeness."""
        return {} if face.crop is None else {"likeness": float(self.likeness(face.crop[None])[0])}


def embed_reference(restorer: FaceRestorer, identity: Identity, picture: Any) -> Tensor:
    """(D,): the embedding of the one face in a reference picture (anything that `restore` takes).

    Raises FaceError where there is none, or more than one.
    """
    faces = restorer.detect(picture)
    name = picture if isinstance(picture, str) or hasattr(picture, "__fspath__") else "the reference"
    if len(faces) != 1:
        found = "no face was found" if not faces else f"{len(faces)} faces were found"
        raise FaceError(f"{found} in {name}; a reference shows one person: cut it to that face")
    return identity.embeddings(restorer.align(picture, faces).crops)[0]
