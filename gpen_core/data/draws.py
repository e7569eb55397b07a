"""Random numbers that depend on (seed, sample index) alone: not on worker, rank, batch or device."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_WORD = 0xFFFFFFFF
_FACTORS = (0x7FEB352D, 0x846CA68B)
_OTHER = 0x5BD1E995


class Draw:
    """A stream of random numbers keyed by (seed, index, purpose); equal keys give equal streams on any machine."""

    def __init__(self, seed: int, index: int, purpose: int = 0) -> None:
        key = np.array([seed & (2**64 - 1), index & (2**64 - 1)], dtype=np.uint64)
        self._stream = np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, purpose]))

    def unit(self) -> float:
        """Uniform in [0, 1)."""
        return float(self._stream.random())

    def uniform(self, bounds: tuple[float, float]) -> float:
        """Uniform between two bounds."""
        return bounds[0] + (bounds[1] - bounds[0]) * self.unit()

    def integer(self, count: int) -> int:
        """One of 0 … count − 1."""
        return min(int(self.unit() * count), count - 1)

    def chance(self, probability: float) -> bool:
        """True with this probability; always takes one number from the stream."""
        return self.unit() < probability

    def key(self) -> int:
        """32 bits for `noise`."""
        return self.integer(2**32)


def noise(keys: Sequence[int], shape: tuple[int, int, int], device: torch.device) -> Tensor:
    """Standard normal numbers (len(keys), C, H, W), float32: each a function of the sample's 32-bit key and its place
    alone.

    Counter-based, in integer operations that every device has, so that a sample's noise is the same everywhere (up to
    rounding of the logarithm and the cosine; Box and Muller) and in a batch of any extent. H and W are at most 4096.
    """
    if device.type == "cpu":
        first, second = (torch.from_numpy(words) for words in _words(keys, shape))
    else:
        channel, row, column = (torch.arange(n, device=device, dtype=torch.int64) for n in shape)
        place = (channel[:, None, None] << 24) | (row[:, None] << 12) | column
        key = torch.tensor([k & _WORD for k in keys], device=device, dtype=torch.int64)[:, None, None, None]
        hashed = _scramble(place[None] + _scramble(key))
        first, second = hashed.float(), _scramble(hashed ^ _OTHER).float()
    radius = ((first + 1) / 2**32).clamp(max=1.0).log().mul(-2).sqrt()
    return radius * (second * (2 * math.pi / 2**32)).cos()


def _words(keys: Sequence[int], shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Both hashes as float32, where a CPU has 32-bit integers that wrap: ten times as fast as in int64 tensors."""
    channel, row, column = (np.arange(n, dtype=np.uint32) for n in shape)
    place = (channel[:, None, None] << 24) | (row[:, None] << 12) | column
    key = _scramble_words(np.array([k & _WORD for k in keys], dtype=np.uint32))
    hashed = _scramble_words(place[None] + key[:, None, None, None])
    return hashed.astype(np.float32), _scramble_words(hashed ^ np.uint32(_OTHER)).astype(np.float32)


def _scramble_words(word: np.ndarray) -> np.ndarray:
    """`_scramble`, in place, of an array of uint32."""
    for shift, factor in ((16, _FACTORS[0]), (15, _FACTORS[1])):
        word ^= word >> np.uint32(shift)
        word *= np.uint32(factor)
    word ^= word >> np.uint32(16)
    return word


def _scramble(word: Tensor) -> Tensor:
    """A 32-bit integer hash (two multiply-xorshift rounds), in int64 tensors."""
    word = word & _WORD
    word = ((word ^ (word >> 16)) * _FACTORS[0]) & _WORD
    word = ((word ^ (word >> 15)) * _FACTORS[1]) & _WORD
    return word ^ (word >> 16)
