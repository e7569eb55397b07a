"""Which picture stands at which position of the endless training sequence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError


class Order:
    """Position → picture, a function of (seed, position): so a resumed run and any number of workers see one sequence.

    count: pictures. weights: how often each is wanted, relatively; None: every picture once in each pass, in a new
    order every pass.
    """

    def __init__(self, count: int, seed: int, weights: Sequence[float] | None = None) -> None:
        if count < 1:
            raise InputError("an order needs at least one picture")
        if weights is not None and (len(weights) != count or min(weights) < 0 or sum(weights) <= 0):
            raise InputError(
                f"{len(weights)} weights for {count} pictures; one each is needed, none negative, not all zero"
            )
        self._count, self._seed = count, seed
        self._bounds = None if weights is None else np.cumsum(np.asarray(weights, dtype=np.float64)) / sum(weights)
        self._epoch, self._permutation = -1, np.arange(0)

    def __getitem__(self, position: int) -> int:
        """Index of the picture at this position, 0, 1, 2, …"""
        epoch, offset = divmod(position, self._count)
        if self._bounds is None:
            if epoch != self._epoch:
                self._epoch, self._permutation = epoch, self._stream(epoch).permutation(self._count)
            return int(self._permutation[offset])
        value = self._stream(position).random()
        return min(int(np.searchsorted(self._bounds, value, side="right")), self._count - 1)

    def _stream(self, index: int) -> np.random.Generator:
        return np.random.Generator(
            np.random.Philox(key=np.array([self._seed & (2**64 - 1), index], dtype=np.uint64), counter=[0, 0, 0, 1])
        )
