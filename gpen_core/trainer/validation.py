"""Fixed pictures, judged and shown the same way all through a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from ..data import Batch, Degradation, MappedFaces, Pictures
from ..data.order import Order
from ..files import replacing
from ..images.planes import levels_of
from ..measures.metrics import FIGURES
from .step import Stepper

Measure = Callable[[Tensor, Tensor], Tensor]

_SEED = 11
_CHUNK = 16
_SHOWN = 8


class Validation:
    """The first `count` pictures in a fixed order, damaged once and for all, or their maps in the damaged one's place.

    measures: figures of (result, original) in [0, 1] beside `FIGURES`, by name: LPIPS, identity.
    """

    def __init__(
        self, pictures: Pictures, degradation: Degradation, count: int, *, measures: Mapping[str, Measure] | None = None
    ) -> None:
        self._measures: dict[str, Measure] = {**FIGURES, **(measures or {})}
        order = Order(len(pictures), _SEED)
        indices = [order[i] for i in range(min(count, len(pictures)))]
        self._input: dict[str, float] | None = None
        if isinstance(pictures, MappedFaces):
            pairs = [pictures.load_pair(i, mirrored=False) for i in indices]
            self.damaged, self.clean = (torch.stack(part).float() / 255 for part in zip(*pairs, strict=True))
            return
        chosen = torch.stack([pictures.load(i) for i in indices]).float() / 255
        self.clean = chosen
        # Damaged one by one: nothing here depends on the batch.
        self.damaged = torch.cat([degradation.degrade(p[None], _SEED, [i]) for i, p in enumerate(chosen)])

    def figures(self, stepper: Stepper) -> dict[str, float]:
        """Means over the pictures of every figure of the averaged network's results, and of the damaged input
        (`input_…`).
        """
        results = torch.cat([self._restore(stepper, first) for first in range(0, len(self.clean), _CHUNK)])
        if self._input is None:
            self._input = {f"input_{name}": value for name, value in self._means(self.damaged).items()}
        return self._means(results) | self._input

    def grid(self, stepper: Stepper) -> Tensor:
        """(3, H, W) in [0, 1]: damaged, restored and original rows; of a prior, samples."""
        if not stepper.stage.paired:
            return _tiles(self._restore(stepper, 0), 4)
        shown = self._restore(stepper, 0)[:_SHOWN]
        rows = [self.damaged[:_SHOWN], shown, self.clean[:_SHOWN]]
        return torch.cat([torch.cat(list(row), 2) for row in rows], 1)

    def _means(self, results: Tensor) -> dict[str, float]:
        return {name: float(measure(results, self.clean).mean()) for name, measure in self._measures.items()}

    def _restore(self, stepper: Stepper, first: int) -> Tensor:
        device, dtype = stepper.device, stepper.dtype
        part = slice(first, first + _CHUNK)
        batch = Batch(
            (self.damaged[part] * 2 - 1).to(device, dtype), (self.clean[part] * 2 - 1).to(device, dtype), first
        )
        source = torch.Generator(device).manual_seed(_SEED + first)
        with torch.no_grad(), stepper.autocast():
            result = stepper.stage.pictures(batch, source, network=stepper.average)
        return (((result.float().cpu() + 1) * 127.5).round().clamp(0, 255)) / 255


def _tiles(pictures: Tensor, rows: int) -> Tensor:
    columns = max(1, len(pictures) // rows)
    return torch.cat(
        [
            torch.cat(list(pictures[r * columns : (r + 1) * columns]), 2)
            for r in range(rows)
            if r * columns < len(pictures)
        ],
        1,
    )


def save_picture(picture: Tensor, path: Path) -> None:
    """picture: (3, H, W) in [0, 1], written as 8 bits under a temporary name first."""
    with replacing(path) as temporary:
        Image.fromarray(levels_of(picture)).save(temporary, "PNG")


def summary(figures: Mapping[str, float]) -> str:
    """One line: each figure, and the input's beside it."""
    return ", ".join(
        f"{n} {v:.3f} (input {figures[f'input_{n}']:.3f})" for n, v in figures.items() if f"input_{n}" in figures
    )
