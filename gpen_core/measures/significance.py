"""How sure a mean is, and whether two models differ on the same pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_DRAWS = 2000
_FLIPS = 10_000
_SEED = 11


def interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """The bounds between which the mean of `values` lies, by the percentile bootstrap (Efron 1979); NaN for fewer than
    two. The same values give the same bounds."""
    known = np.asarray([v for v in values if math.isfinite(v)])
    if len(known) < 2:
        return math.nan, math.nan
    random = np.random.default_rng(_SEED)
    # How often each value is drawn says as much as the draws, and takes one product.
    drawn = random.multinomial(len(known), np.full(len(known), 1 / len(known)), _DRAWS)
    means = drawn @ known / len(known)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Of two models on the same pictures: mean of the first, mean of the first less the second, its bounds, and p, the
    share of random changes of sign whose mean lies as far from zero (a paired permutation test)."""

    first: float
    mean: float
    low: float
    high: float
    p: float
    count: int


def paired(first: Sequence[float], second: Sequence[float]) -> Difference:
    """The difference over the pictures that both have a figure for, in their order."""
    differences = np.asarray(first, float) - np.asarray(second, float)
    known = np.isfinite(differences)
    differences = differences[known]
    start = float(np.asarray(first, float)[known].mean()) if len(differences) else math.nan
    if len(differences) < 2:
        mean = float(differences.mean()) if len(differences) else math.nan
        return Difference(first=start, mean=mean, low=math.nan, high=math.nan, p=math.nan, count=len(differences))
    low, high = interval(differences.tolist())
    random = np.random.default_rng(_SEED)
    mean, extreme = float(differences.mean()), 0
    for _ in range(_FLIPS // 500):
        signs = random.integers(0, 2, (500, len(differences)), np.int8) * 2 - 1
        extreme += int((np.abs(signs @ differences) / len(differences) >= abs(mean) * (1 - 1e-12)).sum())
    p = (extreme + 1) / (_FLIPS + 1)
    return Difference(first=start, mean=mean, low=low, high=high, p=p, count=len(differences))
