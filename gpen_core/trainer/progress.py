"""How far a run has come: everything a resume needs besides the tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ..errors import TrainingError


@dataclass(kw_only=True)
class Progress:
    """Counters of a run.

    images, steps: seen and taken, the position of the sampler and of every random draw. started_at: images when the
    optimisers were new;
    fresh_until: images until which the discriminator counts as fresh. path_mean: running mean of the path lengths.
    skipped: steps skipped for gradients that were not finite; skipped_in_row: since the last good one.
    augment, sign_sum, sign_count: strength of the augmentation, and the signs of real scores since it was last
    adjusted.
    best, best_by: the best score so far and the figure it is of. step_images: pictures of a step over all processes.
    inherited: images that the weights had seen before this run, by what. faces: fingerprint of the training faces.
    sources: hashes of the files it began from, by what they are. history: what was changed on the way, and after how
    many images.
    """

    stage: str
    images: int = 0
    steps: int = 0
    started_at: int = 0
    fresh_until: int = 0
    path_mean: float = 0.0
    skipped: int = 0
    skipped_in_row: int = 0
    augment: float = 0.0
    sign_sum: float = 0.0
    sign_count: float = 0
    best: float | None = None
    best_by: str = ""
    seconds: float = 0.0
    step_images: int = 0
    inherited: dict[str, Any] = field(default_factory=dict)
    faces: str = ""
    sources: dict[str, str] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Progress:
        """An older version's lack some, which begin as in a new run. Raises TrainingError for a later version's."""
        known = {f.name for f in fields(cls)}
        if "stage" not in values or not set(values) <= known:
            raise TrainingError(
                f"the checkpoint's counters are {sorted(values)}, expected {sorted(known)}; start anew with --fresh"
            )
        return cls(**values)
