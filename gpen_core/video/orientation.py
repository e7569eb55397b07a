"""How a film's frames lie in its file, and what makes them upright."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Where x and y of a frame go (rows of a display matrix, y downwards) → quarter turns counter-clockwise.
_TURNS = {(1, 0): 0, (0, -1): 1, (-1, 0): 2, (0, 1): 3}


@dataclass(frozen=True, kw_only=True)
class Orientation:
    """What makes a frame upright: first left and right are exchanged where `mirrored`, then it is turned by `turns`
    quarter turns counter-clockwise. askew: the file asks for an angle between them, or for slanting, which is left out.
    """

    turns: int = 0
    mirrored: bool = False
    askew: bool = False

    def applied(self, plane: NDArray[Any]) -> NDArray[Any]:
        """The plane (H, W), upright; a view."""
        return np.rot90(plane[:, ::-1] if self.mirrored else plane, self.turns)


UPRIGHT = Orientation()


def orientation_of(frame: Any) -> Orientation:
    """What PyAV's frame says of itself by its display matrix: x' = a·x + c·y, y' = b·x + d·y."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return UPRIGHT
    a, b, _, c, d = memoryview(bytes(data)).cast("i")[:5]
    mirrored = a * d - b * c < 0
    x, y = (-a, -b) if mirrored else (a, b)
    largest = max(abs(x), abs(y))
    turned = (round(x / largest), round(y / largest)) if largest else (1, 0)
    straight = {abs(a), abs(b), abs(c), abs(d)} == {0, largest}
    return Orientation(turns=_TURNS.get(turned, 0), mirrored=mirrored, askew=not straight)
