"""Pictures that look alike, among many."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from gpen_core.data.alike import groups_of, near_pairs


def prints(count: int, seed: int) -> list[int]:
    """Fingerprints of which every other is an earlier one with up to eight bits changed."""
    draw = random.Random(seed)
    found = [draw.getrandbits(64)]
    while len(found) < count:
        near = draw.choice(found)
        for _ in range(draw.randrange(9)):
            near ^= 1 << draw.randrange(64)
        found += [draw.getrandbits(64), near]
    return found[:count]


@pytest.mark.parametrize("alike", [0, 1, 4, 9, 63, 64])
def test_pairs_are_those_that_comparing_all_gives(alike: int) -> None:
    found = prints(120, alike)
    wanted = {(i, j) for i, j in combinations(range(120), 2) if bin(found[i] ^ found[j]).count("1") <= alike}
    assert set(near_pairs(found, alike)) == wanted
    assert wanted


def test_a_training_set_of_tens_of_thousands_is_grouped() -> None:
    # A second; comparing all 450 million pairs would take minutes.
    draw = random.Random(5)
    found = [draw.getrandbits(64) for _ in range(30_000)]
    groups = groups_of([str(index) for index in range(len(found))], [*found[:-1], found[0] ^ 0b1011], 4)
    assert groups[-1] == groups[0] == "0"
    assert len(set(groups)) == len(found) - 1
