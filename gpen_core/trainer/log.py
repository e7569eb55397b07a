"""The run's log: one JSON line each time, TensorBoard beside it where installed; a resume cuts off what will be done
again.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..files import replacing

LOG = "log.jsonl"


class Log:
    """Writes OUT/log.jsonl and OUT/tensorboard, from step `steps` on: later lines of an interrupted run are removed
    first.
    """

    def __init__(self, out: Path, steps: int) -> None:
        self._path = out / LOG
        kept = [line for line in read_log(out) if line["step"] <= steps]
        with replacing(self._path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        self._board: Any = None
        if importlib.util.find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            # purge_step: readers drop what an interrupted run wrote from this step on.
            self._board = SummaryWriter(str(out / "tensorboard"), purge_step=steps + 1 if steps else 0)

    def scalars(self, step: int, images: int, values: Mapping[str, float], *, group: str = "train") -> None:
        """One line, and one point in each curve."""
        line = {"step": step, "images": images, "group": group, **values}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"{group}/{name}", value, step)

    def picture(self, step: int, name: str, grid: Tensor) -> None:
        """grid: (3, H, W) in [0, 1]."""
        if self._board is not None:
            self._board.add_image(name, grid, step)

    def close(self) -> None:
        """Flushes what is pending."""
        if self._board is not None:
            self._board.close()


def read_log(out: Path) -> list[dict[str, Any]]:
    """The lines so far; one cut short by a crash is left out."""
    path = out / LOG
    if not path.is_file():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return lines
