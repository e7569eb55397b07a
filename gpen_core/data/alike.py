"""Which faces must stay on one side of a split: those of one person, and pictures that look nearly alike."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise

import torch.nn.functional as F
from torch import Tensor

_BITS = 64


def fingerprint(crop: Tensor) -> int:
    """64 bits, one per step between neighbours of a 9 × 8 px thumbnail: nearly the same for nearly one picture."""
    luma = F.interpolate(crop[None].mean(1, keepdim=True), (8, 9), mode="area")[0, 0]
    bits = (luma[:, 1:] > luma[:, :-1]).flatten().tolist()
    return sum(1 << i for i, bit in enumerate(bits) if bit)


def groups_of(identities: Sequence[str], fingerprints: Sequence[int], alike: int) -> list[str]:
    """For each face the name of its group: the first, alphabetically, of all identities that must stay together.

    Faces of one identity are one group, and so are faces whose fingerprints differ in at most `alike` bits.
    """
    parent = {name: name for name in identities}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for index, other in near_pairs(fingerprints, alike):
        first, second = sorted((root(identities[index]), root(identities[other])))
        parent[second] = first
    return [root(name) for name in identities]


def near_pairs(fingerprints: Sequence[int], alike: int) -> Iterator[tuple[int, int]]:
    """Indices of fingerprints that differ in at most `alike` of 64 bits; a pair may come more than once.

    Cut into one part more than bits may differ, two of them have a part in common: only those are compared.
    """
    prints = list(map(int, fingerprints))
    bounds = [_BITS * part // (alike + 1) for part in range(alike + 2)]
    for low, high in pairwise(bounds):
        of_part: defaultdict[int, list[int]] = defaultdict(list)
        for index, bits in enumerate(prints):
            of_part[bits >> low & (1 << high - low) - 1].append(index)
        for sharing in of_part.values():
            for first, second in combinations(sharing, 2):
                if (prints[first] ^ prints[second]).bit_count() <= alike:
                    yield first, second


def split_of(group: str, share: float) -> str:
    """`val` for about `share` of all groups, by a hash of the name; else `train`."""
    number = int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big")
    return "val" if number < share * 2**64 else "train"
