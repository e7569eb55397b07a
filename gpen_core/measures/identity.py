"""Whether a restored face is still the same person, by any face-recognition network, and strength held back where it
is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import Template
from ..contracts import Embedder, device_of
from ..errors import ConfigError
from ..faces.geometry import fit_similarity, template
from ..faces.warp import crop_faces
from ..images import Picture
from ..images.planes import resize
from ..restore.paste import StrengthOf
from ..restore.result import RestoredFace

_SIZE = 112
#: Cosine of ArcFace embeddings from which on two photographs are taken for one person's: strangers rarely reach it.
ALIKE = 0.4
#: And under which they are usually taken for two people's.
LIKELY_ANOTHER = 0.3
#: Strengths are found to this fraction.
_STEPS = 32


class Identity:
    """Compares crops of one alignment. face_template: where the landmarks lie in them.

    alike, another: cosines from which on, and under which, faces are taken for one person's, and for two people's.
    """

    def __init__(self, embedder: Embedder, face_template: Template) -> None:
        self._embedder = embedder
        self.alike: float = getattr(embedder, "alike", ALIKE)
        self.another: float = getattr(embedder, "another", LIKELY_ANOTHER)
        # GPEN's template is ArcFace's with 28 of 168 px added on every side.
        wanted = template("gpen", _SIZE + 56) - 28
        self._affine = fit_similarity(template(face_template, _SIZE)[None], wanted)

    def embeddings(self, crops: Tensor) -> Tensor:
        """(N, D) of length 1, on the CPU, for crops (N, 3, S, S) in [0, 1]."""
        affine = self._affine.clone()
        affine[..., :2] *= _SIZE / crops.shape[-1]
        faces = torch.cat([crop_faces(crop, affine, _SIZE) for crop in crops])
        with torch.no_grad():
            found = self._embedder(faces.clamp(0, 1).to(device_of(self._embedder)) * 2 - 1)
        return F.normalize(found.float().cpu().flatten(1), dim=1)

    def similarity(self, before: Tensor, after: Tensor) -> Tensor:
        """(N,) cosines of the embeddings of crops (N, 3, S, S) and (N, 3, T, T)."""
        return (self.embeddings(before) * self.embeddings(after)).sum(1)

    def strength_for(self, crop: Tensor, restored: Tensor, least: float, strength: float = 1.0) -> float:
        """The largest strength up to `strength` at which the blend of `crop` (3, S, S) and `restored` (3, T, T) keeps a
        similarity of at least `least`; 0 where none does.

        By halving, as if similarity only fell with strength; what comes back has been tried.
        """
        before = resize(crop[None], restored.shape[-1])[0]

        def holds(share: float) -> bool:
            return float(self.similarity(before[None], torch.lerp(before, restored, share)[None])) >= least

        if holds(strength):
            return strength
        low, high = 0, _STEPS
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if holds(strength * middle / _STEPS) else (low, middle)
        return strength * low / _STEPS

    def keeping(self, least: float) -> StrengthOf:
        """For `FaceRestorer.restore_many`: each face no stronger than keeps its similarity to what it was at `least`.

        Raises ConfigError for a `least` beyond -1 … 1.
        """
        if not -1 <= least <= 1:
            raise ConfigError(f"min_identity is {least:g}; expected a cosine, -1 to 1 (0.5 is usual)")
        return lambda crop, restored, strength: self.strength_for(crop, restored, least, strength)

    def figures(self, face: RestoredFace, result: Picture) -> Mapping[str, Any]:
        """Fields of `FaceReport`: identity, at the strength with which the face was put back, and a warning where it is
        likely another person's."""
        if face.crop is None or face.restored is None:
            return {}
        before = resize(face.crop[None], face.restored.shape[-1])[0]
        share = face.strength
        found = float(self.similarity(before[None], torch.lerp(before, face.restored, share)[None]))
        if found >= self.another:
            return {"identity": found}
        said = f"the restored face is likely another person's (identity {found:.2f}); lower the strength"
        return {"identity": found, "warnings": (said,)}
